import os
import signal
from collections.abc import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, with_signal: int = int(signal.SIGKILL)) -> Iterator[str]:
        yield "last words"
        print("farewell", flush=True)
        os.kill(os.getpid(), with_signal)
