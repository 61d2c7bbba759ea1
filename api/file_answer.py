"""A file as an answer: whole, or the one part of it that was asked for.

Who may have it is decided before.
"""

import re

from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from shared.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.ASCII | re.IGNORECASE)


class FileAnswer(FileResponse):
    """Starlette's, with refusals in our form.

    Several parts at once, or what is no range, bring the whole file. RFC 9110 allows that, and one header cannot have a
    file read a hundred times over.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope)
        if "range" in given and not self._has_one_part(given):
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"range"]}
        await super().__call__(scope, receive, send)

    def _has_one_part(self, given: Headers) -> bool:
        """RangeNotSatisfiable where the file has no such part."""
        found = _ONE_RANGE.fullmatch(given["range"].replace(" ", ""))
        if not found or len(given.getlist("range")) > 1:
            return False
        size = int(self.headers["content-length"])
        first, last, final = (None if number is None else int(number) for number in found.groups())
        is_there = final != 0 and size > 0 if first is None else first < size and (last is None or first <= last)
        if not is_there and "if-range" not in given:
            raise RangeNotSatisfiable(size)
        return is_there
