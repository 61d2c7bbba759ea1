"""Files of versions that were removed: deleted once nobody can come to need them any more.

Their environments and weights follow as what nobody has used for long; see `leftovers`.
"""

import asyncio
import shutil
from pathlib import Path

from sqlalchemy import and_, select, union

from shared import storage
from shared.contract import Status, VersionStatus
from shared.database import Database, clock
from shared.tables import Prediction, Version

_GRACE_SECONDS = 60.0
"""Longer than an API process goes on believing that a version is there."""


async def delete_files(database: Database, home: Path) -> int:
    """Of every version that was removed a while ago and has no prediction under way; how many."""
    awaited = union(
        *[
            select(Prediction.version_id).where(Prediction.status == each)
            for each in (Status.STARTING, Status.PROCESSING)
        ]
    )
    is_over = and_(Version.status == VersionStatus.REMOVED, Version.removed_at < clock(-_GRACE_SECONDS))
    query = select(Version.id).where(is_over, Version.id.not_in(awaited))
    async with database.reading() as connection:
        ids = (await connection.execute(query)).scalars().all()
    left = [version_id for version_id in ids if storage.has_files(home, version_id)]
    for version_id in left:
        await _delete(database, home, version_id)
    return len(left)


async def _delete(database: Database, home: Path, version_id: str) -> None:
    # The row is held meanwhile: whoever pushes the version again then finds the files whole, or not there at all.
    is_removed = and_(Version.id == version_id, Version.status == VersionStatus.REMOVED)
    async with database.transaction() as transaction:
        held = await transaction.execute(select(Version.id).where(is_removed).with_for_update())
        aside = storage.set_aside(home, version_id) if held.one_or_none() else None
    if aside:
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
