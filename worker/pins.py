"""What deployments want of this host: heard of at once, looked up, and handed to `residency`.

Which processes follow from it is decided there. A word that got lost costs a few seconds.
"""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared import deployments
from shared.database import Database
from shared.live import DEPLOYMENTS_CHANNEL, Feed
from worker.residency import Residency

_LOOK_SECONDS = 5.0
"""Between looks when nothing is heard."""
_log = structlog.get_logger()


class Pins:
    """Of this worker."""

    def __init__(self, database: Database, feed: Feed, residency: Residency) -> None:
        self._database = database
        self._feed = feed
        self._residency = residency

    async def run(self) -> None:
        """For ever."""
        async with self._feed.follow(DEPLOYMENTS_CHANNEL) as heard:
            while True:
                await self._look()
                await _told(heard)

    async def _look(self) -> None:
        try:
            self._residency.honour(await deployments.bounds(self._database, self._residency.skus))
        except (SQLAlchemyError, OSError) as error:  # what is up stays up
            _log.warning("deployments unknown", error=type(error).__name__)


async def _told(heard: "asyncio.Queue[bytes]") -> None:
    """Returns at a word, or when it is time to look without one."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await heard.get()
    except TimeoutError:
        return
