"""Following a prediction until it is done, for answers that wait and for streams.

Hears the live feed and, whenever that is silent for a while, looks at the row: the row is the truth.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec
from redis.exceptions import RedisError
from sqlalchemy import Row

from api.dependencies import Services
from shared import trainings
from shared.contract import TERMINAL, Kind, Status
from shared.errors import NotFound
from shared.live import Chunk, channel, replay

LOOK_AGAIN_SECONDS = 2.0
"""A word lost between worker and us costs a follower this much."""
_CANCEL_SECONDS = 1.0


async def find_own(services: Services, account_id: str, prediction_id: str, kind: Kind | None = None) -> Row[Any]:
    """What an account has, of a kind or of any; raises NotFound."""
    row = await services.lookups.find(prediction_id)
    if row is None or row.account_id != account_id or kind not in (None, row.kind):
        raise NotFound
    return row


async def canceled(services: Services, row: Row[Any]) -> Row[Any]:
    """The row after a cancel, which has a second to take effect; one that had ended already is left as it is."""
    if row.status in TERMINAL:
        return row
    async with services.database.transaction() as transaction:
        await trainings.cancel(transaction, row.id)
    ended = await until_finished(services, row.id, _CANCEL_SECONDS)
    return ended or await find_own(services, row.account_id, row.id)


async def until_finished(services: Services, prediction_id: str, seconds: float) -> Row[Any] | None:
    """The prediction's terminal row, or None when the time is over or the process is to end."""
    deadline = asyncio.get_running_loop().time() + seconds
    async with services.feed.follow(channel(prediction_id)) as heard:
        while not services.stopping.is_set():
            row = await services.lookups.find(prediction_id)
            if row is None or row.status in TERMINAL:
                return row
            if not await _finished_word(heard, deadline):
                return None
    return None


async def _finished_word(heard: "asyncio.Queue[bytes]", deadline: float) -> bool:
    """Wait until it is worth looking at the row; False when the deadline has come."""
    loop = asyncio.get_running_loop()
    look_again = loop.time() + LOOK_AGAIN_SECONDS
    while True:
        word = await next_word(heard, min(deadline, look_again) - loop.time())
        if word is None:
            return loop.time() < deadline
        if word.finished:
            return True


async def next_word(heard: "asyncio.Queue[bytes]", seconds: float) -> Chunk | None:
    """The next chunk told, or None if nothing comes in time."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            return msgspec.json.decode(await heard.get(), type=Chunk)
    except TimeoutError:
        return None


async def output_items(
    services: Services, row: Row[Any], attempt: int, seen: int
) -> AsyncIterator[Chunk | Row[Any] | None]:
    """Chunks after the first `seen` items of an attempt as they come, None for a pause, at last the terminal row.

    Nothing is told twice or left out: chunks know their place, and a gap is filled from the row, for which what stands
    behind it waits. Where another attempt has begun after some were seen, its row ends it, because no item of that one
    follows them.
    """
    async with services.feed.follow(channel(row.id)) as heard:
        said = await _replayed(services, row.id)
        while not services.stopping.is_set():
            current = await services.lookups.find(row.id)
            if current is None:
                return
            if seen and attempt_of(current) != attempt:
                yield current
                return
            attempt, saved = attempt_of(current), _saved(current)
            if current.status == Status.SUCCEEDED and seen > saved.end + 1:  # no event has had this id
                seen = 0
            for chunk in _following((saved, *said), attempt, seen):
                yield chunk
                seen = chunk.end
            if current.status in TERMINAL:
                yield current
                return
            said = [chunk for chunk in said if chunk.attempt >= attempt and chunk.end > seen]
            async for told in _told(heard, attempt, seen):
                if told and told.start > seen:
                    said.append(told)
                    continue
                yield told
                if told:
                    attempt, seen = told.attempt, told.end


def attempt_of(row: Row[Any]) -> int:
    """The attempt whose output counts: of what waits to be begun again, or has ended so, the one that was to come."""
    return int(row.attempt) + (row.started_at is None)


async def _told(heard: "asyncio.Queue[bytes]", attempt: int, seen: int) -> AsyncIterator[Chunk | None]:
    """Chunks in sequence until there is a reason to look at the row: the end, a gap, silence, or another attempt.

    The last one may stand behind a gap. What an attempt before this one says is not heard: it was taken for dead.
    """
    while (chunk := await next_word(heard, LOOK_AGAIN_SECONDS)) and not chunk.finished and chunk.start <= seen:
        if seen and chunk.attempt > attempt:
            return
        if chunk.attempt >= attempt and chunk.end > seen:
            yield _after(chunk, seen)
            attempt, seen = chunk.attempt, chunk.end
    if chunk is None or (chunk.attempt >= attempt and not chunk.finished):
        yield chunk


def _following(chunks: Iterable[Chunk], attempt: int, seen: int) -> Iterator[Chunk]:
    """What follows the first `seen` items of an attempt, up to a gap."""
    for chunk in chunks:
        if chunk.attempt == attempt and chunk.start <= seen < chunk.end:
            yield _after(chunk, seen)
            seen = chunk.end


def _after(chunk: Chunk, seen: int) -> Chunk:
    return Chunk(chunk.prediction_id, chunk.attempt, seen, chunk.values[seen - chunk.start :])


def _saved(row: Row[Any]) -> Chunk:
    return Chunk(row.id, attempt_of(row), 0, row.output if isinstance(row.output, list) else [])


async def _replayed(services: Services, prediction_id: str) -> list[Chunk]:
    try:
        return await replay(services.database.redis, prediction_id)
    except (RedisError, OSError):  # the row has everything, half a second later
        return []
