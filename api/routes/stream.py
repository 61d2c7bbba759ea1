"""The server-sent events of a prediction, under an address that is its own permission.

Reads only. An event's id is `attempt:index` of the output item, so a client can resume at any of them.
"""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Row

from api import waiting
from api.dependencies import Base, Services, Wired
from api.documentation import answers, problems
from shared import rendering
from shared.contract import TERMINAL, Status
from shared.errors import NotAcceptable, NotFound
from shared.live import Chunk

router = APIRouter(tags=["predictions"])

_ID_LENGTH = 26
_EXAMPLE = "event: output\nid: 1:0\ndata: four\n\nevent: done\nid: 1:1\ndata: {}\n\n"
_EVENT = {
    "type": "object",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"enum": ["output", "error", "done"]},
        "id": {"type": "string", "description": "`attempt:index` of the output item; below 0 there is none yet."},
        "data": {"type": "string", "description": "A text as it is, anything else as JSON."},
    },
}
_EVENTS = {"text/event-stream": {"itemSchema": _EVENT, "example": _EXAMPLE}}
_EVENT_ID = re.compile(r"(\d{1,9}):(\d{1,15})")
_EVENT_RANGES = ("text/event-stream", "text/*", "*/*")
_NO_QUALITY = re.compile(r"(^|;)q=0(\.0*)?(;|$)")
_QUIET_PAUSES = 6
"""Pauses of 2 s after which a comment keeps proxies and clients from giving up; they do after 30 s."""
_LINE_BREAKS = re.compile(r"\r\n|\r|\n")
_UNICODE_LINE_BREAKS = re.compile(r"\r\n|[\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
"""replicate-python 1.x ends a line at each of these and would lose the rest of the token."""


async def followed(token: str, request: Request, wired: Wired) -> AsyncIterator[Row[Any]]:
    """The prediction; what comes after `yield` is done when the response has ended, however it did."""
    if not _takes_events(request.headers.getlist("accept")):
        raise NotAcceptable
    row = await wired.lookups.find(token[:_ID_LENGTH])
    if row is None or not row.stream_token or row.stream_token != token[_ID_LENGTH:]:
        raise NotFound
    with wired.streams.one_more(row.account_id):
        yield row


Followed = Annotated[Row[Any], Depends(followed)]


_DESCRIBED: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": answers(200, "Events", _EVENTS) | problems(404, 406, 429),
}


@router.get("/streams/{token}", operation_id="predictions.stream", **_DESCRIBED)
@router.get("/files/streams/{token}", operation_id="predictions.stream_files", **_DESCRIBED)
async def stream_prediction(
    row: Followed,
    request: Request,
    wired: Wired,
    base: Base,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="Resume after this event.")] = None,
) -> StreamingResponse:
    """Output as it is made, `error` if it fails, and `done`. Needs no token: the address is the permission.

    Of a model that yields nothing but files it is under `/files/streams/`, else under `/streams/`.
    """
    is_python_1 = request.headers.get("user-agent", "").startswith("replicate-python/1")
    breaks = _UNICODE_LINE_BREAKS if is_python_1 else _LINE_BREAKS
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Access-Control-Allow-Origin": "*"}
    events = _events(wired, row, *_place(row, last_event_id), base, breaks)
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


def _takes_events(accept: Sequence[str]) -> bool:
    """The most exact of the media ranges counts; who names none takes everything."""
    ranges = [part.replace(" ", "").lower().partition(";") for part in ",".join(accept).split(",") if part.strip()]
    refused = {name: _NO_QUALITY.search(parameters) is not None for name, _, parameters in ranges}
    named = [name for name in _EVENT_RANGES if name in refused]
    return not ranges or (bool(named) and not refused[named[0]])


def _place(row: Row[Any], last_event_id: str | None) -> tuple[int, int]:
    """Of which attempt the client has how many items already; an id we cannot have given means none."""
    found = _EVENT_ID.fullmatch(last_event_id or "")
    if found and 0 < int(found[1]) <= row.attempt:
        return int(found[1]), int(found[2]) + 1
    return waiting.attempt_of(row), 0


async def _events(
    wired: Services, row: Row[Any], attempt: int, seen: int, base: str, breaks: re.Pattern[str]
) -> AsyncIterator[str]:
    yield ": hi\n\n"
    pauses = 0
    async for told in waiting.output_items(wired, row, attempt, seen):
        if told is None:
            pauses += 1
            if pauses % _QUIET_PAUSES == 0:
                yield ": still running\n\n"
        elif isinstance(told, Chunk):
            attempt, seen = told.attempt, told.end
            yield "".join(_output(told, base, breaks))
        elif seen and waiting.attempt_of(told) != attempt and not _ended_unbegun(told):
            yield _begun_again(waiting.attempt_of(told))
        else:
            yield _ending(told)


def _ended_unbegun(row: Row[Any]) -> bool:
    """Whether the attempt that was to come never came."""
    return row.status in TERMINAL and row.started_at is None


def _begun_again(attempt: int) -> str:
    """For a client that has items of an attempt before: those of this one do not follow them.

    A client that comes again after one of these events has none of them, and gets all.
    """
    error = _event("error", f"{attempt}:-2", '{"detail": "The prediction was started again."}')
    return error + _event("done", f"{attempt}:-1", '{"reason": "error"}')


def _output(chunk: Chunk, base: str, breaks: re.Pattern[str]) -> list[str]:
    return [
        _event("output", f"{chunk.attempt}:{index}", _text(rendering.output(value, base)), breaks)
        for index, value in enumerate(chunk.values, chunk.start)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _ending(row: Row[Any]) -> str:
    items = len(row.output) if isinstance(row.output, list) else 0
    if row.status == Status.SUCCEEDED:
        return _event("done", f"{row.attempt}:{items}", "{}")
    if row.status in (Status.CANCELED, Status.ABORTED):
        return _event("done", f"{row.attempt}:{items}", '{"reason": "canceled"}')
    detail = msgspec.json.encode({"detail": row.error}).decode()
    done = _event("done", f"{row.attempt}:{items + 1}", '{"reason": "error"}')
    return _event("error", f"{row.attempt}:{items}", detail) + done


def _event(name: str, event_id: str, data: str, breaks: re.Pattern[str] = _LINE_BREAKS) -> str:
    lines = "".join(f"data: {line}\n" for line in breaks.split(data))
    return f"event: {name}\nid: {event_id}\n{lines}\n"
