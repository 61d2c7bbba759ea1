"""Request bodies: bytes in, one JSON object out, or the reason why it is none.

What the object has to contain is not looked at here, and the byte limit is the business of whoever reads the body.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from shared.errors import InvalidRequest, MalformedBody, PinionError, Problem

DEPTH_MAX = 64
VALUES_MAX = 100_000

_decoder = msgspec.json.Decoder()
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NOT_A_NUMBER = re.compile(rb"NaN|Infinity")
_HALF_A_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])")
_BYTE_POSITION = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")


def parse_body(raw: bytes, values_max: int = VALUES_MAX) -> dict[str, Any]:
    """The JSON object in `raw`; numbers keep every digit, of duplicate keys the last one counts.

    MalformedBody for what is not JSON; InvalidRequest for JSON we refuse: not an object, NUL, too deep, too much.
    """
    if _has_too_many_separators(raw, values_max):
        raise _too_many(values_max)
    try:
        body = _decoder.decode(raw)
    except RecursionError:
        raise _refused("body is nested too deeply (limit 64)") from None
    except ValueError as error:
        raise _reason(raw, error) from None
    if not isinstance(body, dict):
        raise _refused("body must be a JSON object")
    _walk(body, values_max)
    return body


def _has_too_many_separators(raw: bytes, values_max: int) -> bool:
    """Counts commas and brackets outside strings before any value is built.

    Ten million zeros take a second to decode; counting them takes milliseconds. Every value brings at most
    two separators, so nothing within the limit is refused here.
    """
    most = 2 * values_max
    if _separators(raw) <= most:
        return False
    pieces = raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', 2 * most)
    return len(pieces) > 2 * most or sum(_separators(outside) for outside in pieces[::2]) > most


def _separators(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _walk(body: dict[str, Any], values_max: int) -> None:
    """Level by level without recursion, because the depth is the caller's choice."""
    level: list[Any] = [body]
    seen = 0
    for _ in range(DEPTH_MAX):
        below: list[Any] = []
        for container in level:
            seen += len(container)
            if seen > values_max:
                raise _too_many(values_max)
            below.extend(_containers_in(container))
        if not below:
            return
        level = below
    raise _refused("body is nested too deeply (limit 64)")


def _containers_in(container: dict[str, Any] | list[Any]) -> list[Any]:
    values: Any = container
    if isinstance(container, dict):
        _refuse_nul(container)
        values = container.values()
    _refuse_nul(value for value in values if isinstance(value, str))
    return [value for value in values if isinstance(value, dict | list)]


def _refuse_nul(texts: Iterable[str]) -> None:
    # Postgres cannot store it, neither in text nor in jsonb.
    if any("\0" in text for text in texts):
        raise _refused("NUL is not allowed")


def _too_many(values_max: int) -> InvalidRequest:
    return _refused(f"body has too many values (limit {values_max:,})")


def _refused(description: str) -> InvalidRequest:
    return InvalidRequest([Problem("invalid_type", "", description)])


def _reason(raw: bytes, error: ValueError) -> PinionError:
    """What is wrong with a body the decoder refused; the order goes from the surest finding to the vaguest."""
    if isinstance(error, UnicodeDecodeError) or raw.startswith(_BYTE_ORDER_MARKS) or b"\0" in raw[:2]:
        return MalformedBody("body must be UTF-8 without a byte order mark")
    if isinstance(error, msgspec.ValidationError):
        return _refused("a number is out of range")
    if not raw.strip():
        return _refused("body must be a JSON object")
    found = _BYTE_POSITION.search(str(error))
    if found:
        return _syntax_error(raw, found[1], int(found[2]))
    # The decoder takes a body that stops soon after half a pair for a truncated one.
    complaint = "invalid utf-16 surrogate pair" if _HALF_A_PAIR.search(raw) else "unexpected end"
    return _syntax_error(raw, complaint, len(raw))


def _syntax_error(raw: bytes, complaint: str, position: int) -> PinionError:
    constant = _NOT_A_NUMBER.match(raw, position)
    if constant:
        return _refused(f"{constant[0].decode()} is not a JSON number")
    line = raw.count(b"\n", 0, position) + 1
    column = position - raw.rfind(b"\n", 0, position)
    return MalformedBody(f"body is not valid JSON: {complaint} (line {line}, column {column})")
