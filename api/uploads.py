"""File uploads: multipart/form-data in the dialects of the official clients, straight to the disk.

Python 1.x and JavaScript send name and type with the part `content`, Python 2.x in fields beside it; metadata comes as
JSON text, as a JSON file, or as one field for each key. No row is written here.
"""

import asyncio
import logging
import re
from typing import Any, NamedTuple

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.dependencies import bounded
from shared.errors import BodyTooLarge, InvalidRequest, InvalidUpload, PinionError, Problem, UnsupportedMediaType
from shared.file_names import checked_type, file_name, media_type
from shared.file_store import Incoming
from shared.json_body import parse_body
from shared.sizes import size_in_words

logging.getLogger("python_multipart").disabled = True
"""It would write a line of its own about every body that it cannot read; the client is told."""
_PIECE_BYTES = 1024 * 1024
_FIELDS_BYTES_MAX = 64 * 1024
_PARTS_MAX = 100
_KEY = re.compile(r"metadata\[([^\[\]]+)\]")


class Upload(NamedTuple):
    """What was said about the file; its bytes are in the Incoming."""

    name: str
    content_type: str
    details: dict[str, Any]


async def receive(request: Request, incoming: Incoming, limit: int) -> Upload:
    """Write the file of a request to `incoming`; raises what is wrong with the request."""
    form = _Form(_boundary(request))
    too_large = f"A file may have {size_in_words(limit)}."
    async for piece in bounded(request, limit + _PIECE_BYTES, too_large):
        form.feed(piece)
        if incoming.size + form.pending_bytes > limit:
            raise BodyTooLarge(too_large)
        if form.pending_bytes >= _PIECE_BYTES:
            await asyncio.to_thread(incoming.write, form.taken())
    await asyncio.to_thread(incoming.write, form.taken())
    return form.upload()


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with the file as its part `content`.")
    if not options.get(b"boundary"):
        raise InvalidUpload("The Content-Type header names no boundary.")
    return options[b"boundary"]


class _Form:
    """The parts so far; the bytes of `content` wait in memory until they are taken."""

    def __init__(self, boundary: bytes) -> None:
        self.pending_bytes = 0
        self._pending: list[bytes] = []
        self._fields: dict[str, bytes] = {}
        self._headers: dict[bytes, bytes] = {}
        self._content: dict[bytes, bytes] | None = None
        self._field, self._parts, self._is_complete = "", 0, False
        self._header_name, self._header_value = b"", b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._take_header_name,
                    "on_header_value": self._take_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise InvalidUpload from error

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidUpload from error

    def taken(self) -> bytes:
        """The pending bytes of the file, which are no longer pending."""
        content = b"".join(self._pending)
        self._pending, self.pending_bytes = [], 0
        return content

    def upload(self) -> Upload:
        if not self._is_complete:
            raise InvalidUpload("The body was cut short.")
        if self._content is None:
            raise InvalidRequest([Problem("required", "", "content is required")])
        _, options = parse_options_header(self._content.get(b"content-disposition"))
        name = file_name(_text(self._fields.get("filename") or options.get(b"filename", b"")))
        kind = _text(self._fields.get("type") or self._content.get(b"content-type", b""))
        return Upload(name, checked_type(kind) or media_type(name), self._details())

    def _details(self) -> dict[str, Any]:
        if whole := self._fields.get("metadata"):
            try:
                return parse_body(whole)
            except PinionError as error:
                raise InvalidUpload("metadata has to be a JSON object.") from error
        keys = {found[1]: value for name, value in self._fields.items() if (found := _KEY.fullmatch(name))}
        return {key: _text(value) for key, value in keys.items()}

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_MAX:
            raise InvalidUpload("The body has too many parts.")
        self._headers = {}

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name, self._header_value = b"", b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._field = _text(options.get(b"name", b""))
        if self._field == "content":
            if self._content is not None:
                raise InvalidUpload("There is more than one part `content`.")
            self._content = self._headers
        else:
            self._fields[self._field] = b""

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._field == "content":
            self._pending.append(piece)
            self.pending_bytes += len(piece)
            return
        self._fields[self._field] += piece
        if sum(map(len, self._fields.values())) > _FIELDS_BYTES_MAX:
            raise BodyTooLarge(f"The fields beside the file are larger than {size_in_words(_FIELDS_BYTES_MAX)}.")

    def _end(self) -> None:
        self._is_complete = True


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
