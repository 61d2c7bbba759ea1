import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from cog import BasePredictor, CancelationException, current_scope

log = logging.getLogger()
log.addHandler(logging.StreamHandler())


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.pool = ThreadPoolExecutor(1)

    def predict(
        self, name: str, seconds: float = 0.0, how: str = "print", patience: float = 0.0, in_c: bool = False
    ) -> str:
        """Says that it has begun, then waits: step by step, or with `in_c` where no exception reaches it."""
        if how == "raise":
            raise ValueError(f"{name} fails")
        ways = {
            "print": lambda: print(name, "begins", flush=True),
            "log": lambda: log.warning("%s begins", name),
            "bytes": lambda: sys.stdout.buffer.write(f"{name} begins\n".encode()),
            "thread": lambda: threading.Thread(target=print, args=(name, "begins")).start(),
            "pool": lambda: self.pool.submit(print, name, "begins"),
            "child": lambda: subprocess.run(["/bin/echo", name, "begins"], check=True),
            "descriptor": lambda: os.write(2, f"{name} begins\n".encode()),
        }
        try:
            ways[how]()
            time.sleep(seconds if in_c else 0)
            self.wait(0 if in_c else seconds)
        except CancelationException:
            if in_c:
                time.sleep(seconds)  # it came in the moment before
            if not patience:
                raise
            print("swallowed", flush=True)
            self.wait(patience)
        return f"{name} of {current_scope().context.get('of', 'nobody')}"

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
