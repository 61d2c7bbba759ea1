"""What is kept for reuse and nobody has used for long: environments, weights, contents of pushes, pushes cut short.

Whatever is in use is locked or linked, so that this may run on every host at any time. Files of predictions expire in
the `sweep`.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shared import contents, storage
from shared.contract import VersionStatus
from shared.database import Database
from shared.settings import Settings
from shared.tables import Version
from worker import removed_versions
from worker.environment import environment_shelf
from worker.weights import weights_shelf

KEPT = timedelta(days=7)
"""Since the last use. Whoever comes back to a push or a model within a week finds it as it was."""
_EVERY = timedelta(hours=1)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Those of one home."""

    settings: Settings
    database: Database

    async def run(self) -> None:
        """For ever, once an hour."""
        while True:
            try:
                await self.remove()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("leftovers not removed", error=type(error).__name__)
            await asyncio.sleep(_EVERY.total_seconds())

    async def remove(self) -> None:
        """Everything once."""
        if count := await removed_versions.delete_files(self.database, self.settings.home):
            _log.info("files of removed versions deleted", versions=count)
        is_failed = Version.status == VersionStatus.FAILED
        async with self.database.reading() as connection:
            failed = (await connection.execute(select(Version.id).where(is_failed))).scalars().all()
        await asyncio.to_thread(self._remove, frozenset(failed))

    def _remove(self, failed: Collection[str]) -> None:
        home, kept_seconds = self.settings.home, KEPT.total_seconds()

        def has_files(user: str) -> bool:
            return storage.version_folder(home, user.partition(".")[0]).exists()

        # A failed version is built from the beginning if it is pushed again; its weights may be the only copy.
        environments = environment_shelf(home).remove_unused(
            lambda version_id: has_files(version_id) and version_id not in failed, kept_seconds
        )
        weights = weights_shelf(home).remove_unused(has_files, kept_seconds)
        storage.remove_drafts(home, kept_seconds)
        count = contents.remove_unshared(home, kept_seconds)
        if environments or weights or count:
            _log.info("leftovers removed", environments=environments, weights=weights, contents=count)
