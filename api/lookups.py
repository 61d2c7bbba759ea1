"""Predictions by their id: whoever asks while others are being read shares the next statement.

A thousand followers cost little more than one, and never all connections. What a row means is not known here.
"""

import asyncio
from itertools import islice
from typing import Any, Self

from sqlalchemy import Row, bindparam, select

from shared.database import Database
from shared.tables import Prediction
from shared.tasks import end, start

_STATEMENTS_AT_ONCE = 2
"""So that one large row does not hold up all others."""
_IDS_OF_A_STATEMENT = 64
_QUERY = select(Prediction.__table__).where(Prediction.id.in_(bindparam("ids", expanding=True)))
_Asked = dict[str, "asyncio.Future[Row[Any] | None]"]


class Lookups:
    """Those of this process. Owns the tasks that read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: _Asked = {}
        self._readers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await end(*self._readers)

    async def find(self, prediction_id: str) -> Row[Any] | None:
        """A prediction as it stands now or later, whoever owns it."""
        if prediction_id not in self._asked:
            self._asked[prediction_id] = asyncio.get_running_loop().create_future()
            if len(self._readers) < _STATEMENTS_AT_ONCE:
                self._readers.add(start(self._read()))
        return await asyncio.shield(self._asked[prediction_id])  # others may wait for the same

    async def _read(self) -> None:
        while self._asked:
            ids = list(islice(self._asked, _IDS_OF_A_STATEMENT))
            await self._answer({each: self._asked.pop(each) for each in ids})
        # Not a moment later: who asks now must not count on a reader that has looked for the last time.
        self._readers -= {asyncio.current_task()}

    async def _answer(self, asked: _Asked) -> None:
        try:
            async with self._database.reading() as connection:
                rows = (await connection.execute(_QUERY, {"ids": _padded(list(asked))})).all()
        except Exception as error:
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # it is no fault if nobody waits for it any more
            return
        found = {row.id: row for row in rows}
        for prediction_id, answer in asked.items():
            answer.set_result(found.get(prediction_id))


def _padded(ids: list[str]) -> list[str]:
    """As many as a power of two: each number of parameters is a statement of its own to prepare."""
    return ids + ids[-1:] * ((1 << (len(ids) - 1).bit_length()) - len(ids))
