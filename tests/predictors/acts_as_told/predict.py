import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from cog import BasePredictor, ConcatenateIterator, Input, Secret


def fill_memory():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    held = []
    while True:
        held.append(bytearray(1 << 26))


def spin():
    ctypes.PyDLL(None).sleep(600)  # the lock of the interpreter is kept


def ignore():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            continue


def flood():
    for _ in range(200):
        sys.stdout.write("\x1b[31m" + "x" * 49_999 + "\n")
    sys.stdout.flush()


def leave_a_thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("not even this")


def raise_unprintable():
    raise Unprintable


def raise_much():
    raise ValueError("x" * 1_000_000)


def break_the_gpu():
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def fork():
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)


ACTS = {
    "talk": lambda: None,
    "oom": fill_memory,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "spin": spin,
    "ignore": ignore,
    "flood": flood,
    "thread": leave_a_thread,
    "unprintable": raise_unprintable,
    "raise": raise_much,
    "gpu": break_the_gpu,
    "fork": fork,
}


class Predictor(BasePredictor):
    """Says its name so many times; in between it does what it is told. Its diary tells who ran it, and until when."""

    def predict(
        self,
        name: str,
        tokens: int = Input(default=3, ge=0),
        seconds: float = Input(default=0.05, ge=0),
        does: str = Input(default="talk", choices=list(ACTS)),
        after: int = Input(default=0, ge=0),
        diary: str = "",
        password: Secret = Input(default=None),
    ) -> ConcatenateIterator[str]:
        note = Path(diary, f"{name}.{os.getpid()}.{time.time_ns()}") if diary else None
        for number in range(tokens + 1):
            if note:
                note.write_text(str(time.time()))
            if number == after:
                ACTS[does]()
            if number < tokens:
                yield f"{name}:{number} "
            time.sleep(seconds)
