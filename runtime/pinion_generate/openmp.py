"""Has a thread give back the threads that OpenMP keeps to compute with it.

It keeps some for each thread that has ever computed. Once all of them together are more than the cores, those that
wait for the next kernel sleep at once instead of spinning a little, and have to be woken at each kernel of a step.
So who has nothing to compute for a while must not keep any. Its next kernel brings them back.
"""

import ctypes
import os
from typing import Any

import torch

_SOFT = 1
"""omp_pause_soft: settings, as the number of threads, stay."""
_pause: Any = getattr(ctypes.CDLL(torch._C.__file__), "omp_pause_resource_all", None)
"""Of the library that torch itself computes with; there is none if that is not OpenMP 5."""
_process = os.getpid()


def give_back_threads() -> None:
    """Those of the calling thread. A forked child has none, and would wait for those of its parent for ever."""
    if _pause is not None and os.getpid() == _process:
        _pause(_SOFT)
