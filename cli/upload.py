"""Telling the server what a model's folder holds, and sending the contents it lacks, several at once: large ones from
where they were cut off, many small ones in one request.

What the folder holds stands in `inventory`; what becomes of it is `push`'s and the server's business.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import httpx

from cli.client import answer
from cli.failure import Failure
from cli.inventory import Entry
from cli.progress import progress
from shared.contents import packed

_PIECE_BYTES = 1 << 18
_AT_ONCE = 8
"""Of many small contents each would wait for the one before."""
_PACKED_BYTES_MAX = 1 << 15
_PACK_BYTES = 1 << 20
_COST_BYTES = 1 << 10
"""Of each content in a pack: the server makes a file of it, which takes as long as so many bytes."""
_TRIES = 5
"""In a row without a byte more at the server."""
_PAUSE_SECONDS = 0.5
_RAW = {"Content-Type": "application/octet-stream"}
# The server reads a large content once more before it answers.
_TIMEOUT = httpx.Timeout(30.0, read=900.0)


def upload(client: httpx.Client, model: str, entries: list[Entry], wishes: dict[str, Any]) -> dict[str, Any]:
    """The version that was made of the files; `wishes` are further keys of the push."""
    body = {"files": [entry.described for entry in entries], **wishes}
    places = {entry.sha256: entry.place for entry in entries}
    least, tries = -1, 0
    while True:
        told = answer(client.post(f"/models/{model}/versions", json=body, timeout=_TIMEOUT))
        if "missing" not in told:
            return told
        left = sum(content["size"] - content["received"] for content in told["missing"])
        tries = tries + 1 if left == least else 0
        least = left
        if tries == _TRIES:
            raise Failure("The upload does not get on: the server still lacks what was sent. Push again to go on.")
        _send_all(client, told["missing"], places, left, is_last_try=tries == _TRIES - 1)


class _Stopped(Exception):
    """Another content could not be sent, or the person has had enough."""


def _send_all(
    client: httpx.Client, missing: list[dict[str, Any]], places: dict[str, Path], left: int, *, is_last_try: bool
) -> None:
    """Every content once; after a cut the server is asked anew how far it has come."""
    stop = Event()
    with progress("Sending", left) as passed, ThreadPoolExecutor(_AT_ONCE) as pool:

        def count(sent: int) -> None:
            if stop.is_set():
                raise _Stopped
            passed(sent)

        def send(contents: list[dict[str, Any]]) -> None:
            try:
                count(0)
                if len(contents) > 1:
                    _send_packed(client, [(places[each["sha256"]], each["size"]) for each in contents])
                    count(sum(each["size"] for each in contents))
                else:
                    _send(client, contents[0], places[contents[0]["sha256"]], count)
            except Exception:
                stop.set()
                raise

        try:
            for sent in as_completed([pool.submit(send, contents) for contents in _together(missing)]):
                with suppress(_Stopped):  # another one says why
                    sent.result()
        except httpx.TransportError:
            if is_last_try:
                raise
            time.sleep(_PAUSE_SECONDS)
        finally:
            stop.set()


def _together(missing: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """What goes in one request each: small contents share one, as their number would take longer than their bytes."""
    pack: list[dict[str, Any]] = []
    room = _PACK_BYTES
    for content in missing:
        if content["size"] > _PACKED_BYTES_MAX:
            yield [content]
            continue
        if room < content["size"]:
            yield pack
            pack, room = [], _PACK_BYTES
        pack.append(content)
        room -= content["size"] + _COST_BYTES
    if pack:
        yield pack


def _send_packed(client: httpx.Client, files: list[tuple[Path, int]]) -> None:
    """So little that it is sent from the beginning again after a cut."""
    pack = packed(_whole(place, size) for place, size in files)
    params: dict[str, int | str] = {"size": len(pack), "packed": "true"}
    path = f"/contents/{sha256(pack).hexdigest()}"
    answer(client.put(path, params=params, content=pack, headers=_RAW, timeout=_TIMEOUT))


def _whole(place: Path, size: int) -> bytes:
    content = place.read_bytes()
    if len(content) != size:
        raise Failure(f"{place} changed while it was sent: push again.")
    return content


def _send(client: httpx.Client, content: dict[str, Any], place: Path, passed: Callable[[int], None]) -> None:
    received, size = content["received"], content["size"]
    sent = client.put(
        f"/contents/{content['sha256']}",
        params={"offset": received, "size": size},
        content=_pieces(place, received, size, passed),
        headers={**_RAW, "Content-Length": str(size - received)},
        timeout=_TIMEOUT,
    )
    if sent.status_code != httpx.codes.CONFLICT:  # where to go on from is asked anew
        answer(sent)


def _pieces(place: Path, start: int, size: int, passed: Callable[[int], None]) -> Iterator[bytes]:
    """What is announced is sent, to the byte."""
    with place.open("rb") as file:
        file.seek(start)
        left = size - start
        while left:
            piece = file.read(min(_PIECE_BYTES, left))
            if not piece:
                raise Failure(f"{place} became shorter while it was sent: push again.")
            left -= len(piece)
            passed(len(piece))
            yield piece
