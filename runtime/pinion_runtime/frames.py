"""The frames between a model process and its parent: one JSON object on one line, in both directions.

What a frame causes is not decided here.

parent to child
  start        {mode, reference, train, concurrency}    once, first. mode: predict or train; "predict.py:Predictor"
               and "train.py:train" or null, relative to the working directory; what cog.yaml says or null
  predict      {id, input, files, context}    begun in the order in which they are sent. files: names like images.0 of
               the values that are paths of local files; no other text may be taken for one
  cancel       {id}                     of a prediction that was sent before; any other id is ignored
  taken        {id}                     the files of the output that waits are stored, the model may go on
  healthcheck  {number}                 answered while predictions run; not while an earlier one is being answered
  (end of file)                         leave, after the predictions that run
child to parent
  schema        {openapi, iterator, healthcheck}    the model is imported; setup() starts
  ready         {concurrency}                       setup() is done; predictions it can run at once
  setup_failed  {error}                             instead of schema or ready; the process ends
  output        {id, value, waits}                  one item of an iterator. waits: only of an item that names files,
               the model goes on when it is taken, because it may overwrite or remove them
  log           {id, text}                          printed by one of several predictions; id null: by none of them
  interrupted   {id}                                the cancel has reached an async prediction, which may clean up
  healthcheck   {number, error}                     error null: the model is well
  metric        {id, name, value, mode}             mode: replace, incr, append; a value of null deletes. id null: it
               tells of the process
  done          {id, status, error, predict_time, left, output}
                status: succeeded, failed, canceled; seconds; left: a folder in TMPDIR that nobody uses any more, or
                null; output: the whole value, null for an iterator.
                Everything the prediction printed is in the log pipe when this frame is written.
A file in an output is {"$file": "/absolute/path"}.
"""

from __future__ import annotations

import json
import os
import re
import threading
from typing import Any, Iterator

_READ_BYTES = 1 << 16
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()

_parse = json.loads  # a model may put another in its place
# default=str: the default of a parameter may be any object, and is only shown
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str)


def compose(kind: str, fields: dict[str, Any], key: str = "", encoded: str = "null") -> str:
    """The line of a frame; the value under `key` comes last and is JSON already."""
    line = _compact.encode({"type": kind, **fields})
    return f'{line[:-1]},"{key}":{encoded}}}' if key else line


def read_frames(descriptor: int) -> Iterator[dict[str, Any]]:
    """Until the end of file. No file object: its lock, held by a reading thread, would abort the interpreter's exit."""
    parts: list[bytes] = []
    while True:
        received = os.read(descriptor, _READ_BYTES)
        if not received:
            return
        *lines, rest = received.split(b"\n")
        for line in lines:
            yield _parse(b"".join([*parts, line]))
            parts = []
        parts.append(rest)


class FrameWriter:
    """Writes whole frames from any thread. In a forked child it is closed, so that no copy of us speaks."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.RLock()
        self._waiting: list[bytes] = []
        self._is_writing = False
        os.register_at_fork(after_in_child=self.close)

    @property
    def is_closed(self) -> bool:
        return self._descriptor < 0

    def write(self, line: str) -> None:
        with self._lock:
            self.hold(line)
            self.flush()

    def hold(self, line: str) -> bool:
        """Have it written with what comes next, or by `flush`; whether nothing else is held."""
        with self._lock:
            self._waiting.append(_bytes(line))
            return len(self._waiting) == 1

    def flush(self) -> None:
        """A finalizer may come here while its own thread is writing; then the outer call writes the inner's line."""
        with self._lock:
            if self._is_writing:
                return
            self._is_writing = True
            try:
                while self._waiting:
                    together, self._waiting = b"".join(self._waiting), []
                    self._write(memoryview(together))
            finally:
                self._is_writing = False

    def _write(self, rest: memoryview) -> None:
        while rest and not self.is_closed:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BrokenPipeError:
                os._exit(1)  # the parent is gone and nobody waits for what we do

    def close(self) -> None:
        if not self.is_closed:
            os.close(self._descriptor)
        self._descriptor = -1
        self._lock = threading.RLock()  # another thread may have held it when the process was copied
        self._is_writing = False


def _bytes(line: str) -> bytes:
    """UTF-8 that every database takes: lone surrogates and NUL become U+FFFD."""
    try:
        encoded = line.encode()
    except UnicodeEncodeError:
        encoded = line.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    if b"\\u0000" in encoded:
        encoded = _NUL.sub(rb"\1" + _REPLACEMENT, encoded)
    return encoded + b"\n"
