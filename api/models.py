"""Models as clients see them: each with its newest version, its first example and how often it ran, many at once.

Which of them are shown, and in which order, is the routes' business.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row

from api.dependencies import Services
from shared import catalog, examples, rendering, run_counts


async def showing(wired: Services, rows: Sequence[Row[Any]], base: str) -> Callable[[Row[Any]], dict[str, Any]]:
    """What turns each of these rows into JSON."""
    latest = await catalog.find_versions(wired.database, [row.latest_version_id for row in rows])
    first = await examples.first_of(wired.database, [_name(row) for row in rows])
    counts = await run_counts.read(wired.database, [row.id for row in rows])

    def show(row: Row[Any]) -> dict[str, Any]:
        return rendering.model(
            row, latest.get(row.latest_version_id), first.get(_name(row)), counts.get(row.id, 0), base
        )

    return show


def _name(row: Row[Any]) -> str:
    return f"{row.owner}/{row.name}"
