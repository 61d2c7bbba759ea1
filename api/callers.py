"""Who is calling: tokens are looked up once and believed for a few seconds, and that they were used is noted.

What a token may be used for is checked in `dependencies`.
"""

import asyncio
from time import monotonic
from typing import Any, Self

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

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

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Row[Any]]] = {}
        self._used: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = start(self._note_regularly())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task:
            await end(self._task)

    async def find(self, token: str) -> Row[Any] | None:
        """The account a token speaks for, with the token's `scopes`."""
        digest = tokens.digest(token)
        known = self._known.get(digest)
        if known and known[0] > monotonic():
            return known[1]
        caller = await tokens.find_caller(self._database, digest)
        if caller:
            if len(self._known) >= _LIMIT:
                self._known.clear()
            self._known[digest] = (monotonic() + _BELIEVED_SECONDS, caller)
            self._used.add(digest)
        return caller

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
