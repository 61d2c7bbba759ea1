"""Models and versions as pushes make them, also when several come at once."""

import asyncio
from typing import cast

from sqlalchemy import func, select

from shared import catalog
from shared.contract import VersionStatus
from shared.database import Database
from shared.tables import Model, Version
from tests.database_fixtures import Rows


async def test_first_pushes_of_one_model_at_once_make_one_model_and_one_version(database: Database, rows: Rows) -> None:
    def push(version_id: str) -> object:
        return catalog.add_version(database, rows.account_id, rows.username, "new", version_id)

    pushed = await asyncio.gather(*[push(digit * 64) for digit in "aabbaabb"])
    assert {row.id for row in pushed} == {"a" * 64, "b" * 64}
    assert {row.status for row in pushed} == {VersionStatus.BUILDING}
    assert len({row.model_id for row in pushed}) == 1
    async with database.reading() as connection:
        models = await connection.scalar(select(func.count()).select_from(Model).where(Model.name == "new"))
        versions = await connection.scalar(select(func.count()).select_from(Version).where(Version.id.in_(["a" * 64])))
    assert (models, versions) == (1, 1)


async def test_a_version_that_failed_is_tried_again_and_others_are_left_as_they_are(
    database: Database, rows: Rows
) -> None:
    failed = await rows.add_version(status=VersionStatus.FAILED)
    again = await catalog.add_version(database, rows.account_id, rows.username, "echo", failed)
    assert (again.status, again.delivery) == (VersionStatus.BUILDING, 2)
    known = await catalog.add_version(database, rows.account_id, rows.username, "echo", rows.version_id)
    assert (known.status, known.delivery) == (VersionStatus.READY, 1)


async def newest(rows: Rows, version_id: str) -> str | None:
    model_id = (await rows.one(Version, Version.id == version_id)).model_id
    return cast(str | None, (await rows.one(Model, Model.id == model_id)).latest_version_id)


async def publish(database: Database, version_id: str) -> None:
    async with database.transaction() as transaction:
        await catalog.publish(transaction, version_id, {}, False, "")


async def test_a_model_stands_for_the_version_that_was_pushed_last_also_if_it_was_pushed_before(
    database: Database, rows: Rows
) -> None:
    first, second = "c" * 64, "d" * 64
    for version_id in (first, second):
        await catalog.add_version(database, rows.account_id, rows.username, "new", version_id)
        await publish(database, version_id)
        assert await newest(rows, version_id) == version_id
    await catalog.add_version(database, rows.account_id, rows.username, "new", first)
    assert await newest(rows, first) == first


async def test_a_build_that_takes_longer_than_that_of_a_later_push_does_not_take_the_name_back(
    database: Database, rows: Rows
) -> None:
    slow, quick = "c" * 64, "d" * 64
    for version_id in (slow, quick):
        await catalog.add_version(database, rows.account_id, rows.username, "new", version_id)
    await publish(database, quick)
    await publish(database, slow)
    assert await newest(rows, slow) == quick
