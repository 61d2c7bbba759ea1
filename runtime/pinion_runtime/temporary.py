"""The temporary folder of a prediction that runs alone: empty when it begins, and not the next one's.

What a prediction leaves is removed by the parent, once the output files in it are stored.
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
        self._is_open = False
        self._process = os.getpid()

    def open(self) -> None:
        """Where the model has chosen a folder itself, things stay as they are. Raises OSError when the disk is full."""
        if tempfile.tempdir != self._outer or os.environ.get(_VARIABLE, self._outer) != self._outer:
            return
        _settle_multiprocessing()
        if not self._ours:
            self._ours = tempfile.mkdtemp(prefix="prediction-", dir=self._outer)
        tempfile.tempdir = os.environ[_VARIABLE] = self._ours
        self._is_open = True

    def close(self) -> str | None:
        """Its name if something was left in it: then the next prediction gets another one. Making one takes longer
        than most predictions have to spare, so an empty one is used again.
        """
        if not self._is_open or os.getpid() != self._process:  # a copy that predict() forked has no say in this
            return None
        self._is_open = False
        if tempfile.tempdir == self._ours:
            tempfile.tempdir = self._outer
        if os.environ.get(_VARIABLE) == self._ours:
            os.environ[_VARIABLE] = self._outer
        with suppress(OSError):  # the model has removed it
            if not os.listdir(self._ours):
                return None
        left, self._ours = self._ours, ""
        return os.path.basename(left)


def _settle_multiprocessing() -> None:
    """Its servers live as long as the process, and so must the folder that it makes for their sockets only once."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        with suppress(OSError):
            util.get_temp_dir()
