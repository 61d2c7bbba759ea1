"""An id for each request, in its answer and in every log line written meanwhile: the client's own if it looks like one.

Nothing is stored under it.
"""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from shared.http_door import REQUEST_ID_HEADER
from shared.ids import new_id

_SANE = re.compile(rb"[A-Za-z0-9._:=+/-]{1,128}")
"""UUIDs, ULIDs and what proxies and tracers make; nothing that could do harm in a log or a page."""


class RequestIds:
    """To be wrapped around everything, so that not even a failure of ours goes out without one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _own(scope) or new_id()
        bind_contextvars(request_id=request_id)  # each request is a task, and so has a context of its own

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER.decode()] = request_id
            await send(message)

        await self._app(scope, receive, tell)


def _own(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == REQUEST_ID_HEADER]
    return given[0].decode() if len(given) == 1 and _SANE.fullmatch(given[0]) else None
