"""The temporary folder of a prediction that runs alone: empty when it begins, and not the next one's.

What a model leaves there is removed by the parent once the output files in it are stored; an empty one goes here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress

_VARIABLE = "TMPDIR"


class TemporaryFolder:
    """Of one prediction at a time. tempfile, and programs that the model starts, use it from `open` to `close`."""

    def __init__(self) -> None:
        self._outer = tempfile.gettempdir()  # from now on a model may have chosen another one
        self._ours = ""
        self._process = os.getpid()

    def open(self, name: str) -> None:
        """Without a name, and where the model has chosen a folder itself, things stay as they are."""
        chosen = tempfile.tempdir
        if not name or chosen != self._outer or os.environ.get(_VARIABLE, chosen) != chosen:
            return
        _settle_multiprocessing()
        self._ours = os.path.join(self._outer, name)
        with suppress(FileExistsError):  # an earlier attempt's
            os.mkdir(self._ours, 0o700)
        tempfile.tempdir = os.environ[_VARIABLE] = self._ours

    def close(self) -> None:
        """Unless the model has meanwhile chosen another one, the old one counts again."""
        if not self._ours or os.getpid() != self._process:  # a copy that predict() forked must not take it away
            return
        if tempfile.tempdir == self._ours:
            tempfile.tempdir = self._outer
        if os.environ.get(_VARIABLE) == self._ours:
            os.environ[_VARIABLE] = self._outer
        with suppress(OSError):  # there is something in it
            os.rmdir(self._ours)
        self._ours = ""


def _settle_multiprocessing() -> None:
    """Its servers live as long as the process, and so must the folder that it makes for their sockets only once."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        with suppress(OSError):
            util.get_temp_dir()
