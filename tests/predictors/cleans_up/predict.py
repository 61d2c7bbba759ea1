import time
from collections.abc import Iterator

from cog import BasePredictor, CancelationException


class Predictor(BasePredictor):
    def predict(self, seconds: float = 60.0) -> Iterator[str]:
        try:
            yield "first"
            time.sleep(seconds)
        except CancelationException:
            print("cleaned up")
            raise
