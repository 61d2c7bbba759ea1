import os
import time

from cog import BasePredictor, ConcatenateIterator


class Predictor(BasePredictor):
    def predict(self, seconds: float, times: int = 5) -> ConcatenateIterator[str]:
        time.sleep(seconds)
        for _ in range(times):
            yield f"{os.getpid()} "
