"""The same models on the other Pythons of this machine, which share them out."""

import asyncio
from pathlib import Path

import pytest

from tests.cog_models import TABLES
from tests.cog_models.doors import check_server, serving_here
from tests.cog_models.row import Row
from tests.pythons import found_pythons


def shared_out() -> list[object]:
    """Each model on one of the Pythons that know its syntax."""
    shares: list[object] = []
    for number, row in enumerate(row for table in TABLES for row in table.ROWS if not row.package):
        if able := [minor for minor in found_pythons() if minor >= row.since]:
            minor = able[number % len(able)]
            shares.append(pytest.param(found_pythons()[minor], row, id=f"3.{minor}-{row.name}"))
    return shares


@pytest.mark.parametrize(("python", "row"), shared_out())
async def test_the_server_of_one_directory_answers(tmp_path: Path, python: Path, row: Row) -> None:
    await asyncio.to_thread(row.write, tmp_path / "model")
    async with serving_here(tmp_path, python) as server:
        await check_server(row, server)
