"""What an outage interrupts is tried again; what would fail for ever is not.

That a result outlasts a real outage is shown in test_recorder.
"""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from shared.database import Database, clock
from shared.tables import Leadership
from worker.persistence import persistently


async def test_a_write_the_database_will_never_take_is_not_repeated(database: Database) -> None:
    tried = 0

    async def write() -> None:
        nonlocal tried
        tried += 1
        row: dict[str, Any] = {"name": "twice", "holder": "", "until": clock()}
        for _ in range(2):
            async with database.transaction() as transaction:
                await transaction.execute(insert(Leadership).values(**row))

    with pytest.raises(IntegrityError):
        await persistently(write)
    assert tried == 1


@pytest.mark.parametrize("outage", [ConnectionRefusedError(), OSError("no route")])
async def test_a_server_that_cannot_be_reached_is_asked_again(outage: OSError) -> None:
    answers = [outage, outage, None]

    async def write() -> str:
        if error := answers.pop(0):
            raise error
        return "written"

    assert await persistently(write) == "written"
