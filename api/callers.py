"""Who is calling: tokens are looked up once and believed for a few seconds, and that they were used is noted.

With rate limits on, an address has so many tries with tokens that do not exist; whoever was right here before is not
held up by others who guess from there. What a token may be used for is checked in `dependencies`.
"""

import asyncio
from time import monotonic
from typing import Any, Self

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from api.rate_limits import RateLimits
from shared import tokens
from shared.database import Database
from shared.tasks import end, start

_BELIEVED_SECONDS = 5
"""A token that was taken back works this much longer at most."""
_NOTE_SECONDS = 60
_LIMIT = 10_000
_log = structlog.get_logger()


class Callers:
    """Those of this process. Owns a task that writes down, once a minute, which tokens were used."""

    def __init__(self, database: Database, limits: RateLimits | None) -> None:
        self._database = database
        self._limits = limits
        self._asked: dict[str, asyncio.Task[Row[Any] | None]] = {}
        self._known: dict[str, tuple[float, Row[Any]]] = {}
        self._familiar: set[str] = set()
        """Those that were right when they were last looked up, however long ago."""
        self._used: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = start(self._note_regularly())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task:
            await end(self._task, *self._asked.values())

    async def find(self, token: str, host: str) -> Row[Any] | None:
        """The account a token speaks for, with the token's `scopes`; Throttled if `host` has guessed too often."""
        digest = tokens.digest(token)
        known = self._known.get(digest)
        if known and known[0] > monotonic():
            return known[1]
        if digest not in self._asked:  # who asks for the same meanwhile shares the answer, and is one guess with it
            self._asked[digest] = asyncio.create_task(self._look_up(digest, host))
            self._asked[digest].add_done_callback(lambda task: self._forget_asked(digest, task))
        return await asyncio.shield(self._asked[digest])

    def _forget_asked(self, digest: str, task: "asyncio.Task[Row[Any] | None]") -> None:
        del self._asked[digest]
        if not task.cancelled():
            task.exception()  # it is no fault if nobody waits for it any more

    async def _look_up(self, digest: str, host: str) -> Row[Any] | None:
        guarding = self._limits if digest not in self._familiar else None
        if guarding:
            await guarding.take_guess(host)
        caller = await tokens.find_caller(self._database, digest)
        if caller is None:
            self._familiar.discard(digest)
            return None
        if guarding:
            await guarding.give_guess_back(host)
        self._remember(digest, caller)
        return caller

    def _remember(self, digest: str, caller: Row[Any]) -> None:
        for memory in (self._known, self._familiar):
            if len(memory) >= _LIMIT:
                memory.clear()
        self._known[digest] = (monotonic() + _BELIEVED_SECONDS, caller)
        self._familiar.add(digest)
        self._used.add(digest)

    async def note_uses(self) -> None:
        """One write for all tokens; what cannot be written now is written later."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await tokens.note_uses(self._database, used)
        except (SQLAlchemyError, OSError) as error:
            self._used |= used
            _log.warning("uses of tokens not noted", error=type(error).__name__)

    async def _note_regularly(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            await self.note_uses()
