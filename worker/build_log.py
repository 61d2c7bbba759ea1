"""The log of a build while it goes on: what comes is kept in the version's row, for whoever pushed to follow.

What is said in it is the business of the build.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared import catalog
from shared.database import Database
from shared.tasks import end

_SAVE_SECONDS = 0.5
_KEPT_CHARACTERS = 1 << 18
_log = structlog.get_logger()


class BuildLog:
    """Text that grows; of a very long one the end is kept."""

    def __init__(self, database: Database, version_id: str) -> None:
        self._database = database
        self._version_id = version_id
        self._has_more = asyncio.Event()
        self.text = ""

    def say(self, text: str) -> None:
        self.text = (self.text + text)[-_KEPT_CHARACTERS:]
        self._has_more.set()

    def complete(self, ending: str) -> None:
        """Add what a process said that had been started by somebody else, and so was not heard."""
        if not self.text.endswith(ending):
            self.say(ending)

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """While inside, what comes is saved, at most every half second. The last of it is left to whoever ends the
        build, together with how it ended."""
        saving = asyncio.create_task(self._save())
        try:
            yield
        finally:
            await end(saving)

    async def _save(self) -> None:
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            try:
                async with self._database.transaction() as transaction:
                    await catalog.record_logs(transaction, self._version_id, self.text)
            except (SQLAlchemyError, OSError) as error:  # only the view of it suffers
                _log.warning("build log not saved", version_id=self._version_id, error=type(error).__name__)
            await asyncio.sleep(_SAVE_SECONDS)
