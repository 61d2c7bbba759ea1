"""`pinion collection`: models put together by the operator, for everybody with an account to see.

Works on the database of the settings: Replicate's API has no operation that would make one.
"""

from collections.abc import Sequence
from pathlib import Path

from cli.database import on_database, say, show
from cli.failure import Failure
from shared import collections


def put(slug: str, name: str, description: str, full_description: Path | None, models: Sequence[str]) -> None:
    words = {
        "name": name,
        "description": description,
        "full_description": full_description.read_text() if full_description else None,
    }
    on_database(lambda database: collections.put(database, slug, words, models))
    say(f"The collection {slug} holds {', '.join(models) if models else 'no model yet'}.")


def list_all() -> None:
    found = on_database(collections.list_all)
    show(("SLUG", "NAME", "DESCRIPTION"), [(row.slug, row.name, row.description) for row in found])


def remove(slug: str) -> None:
    if not on_database(lambda database: collections.remove(database, slug)):
        raise Failure(f"There is no collection {slug}: `pinion collection list` shows those there are.")
    say(f"Removed the collection {slug}; its models stay.")
