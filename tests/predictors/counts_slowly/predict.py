import time

from cog import BasePredictor, ConcatenateIterator, Input


class Predictor(BasePredictor):
    def predict(
        self, to: int = Input(default=3, ge=0), seconds: float = Input(default=0.01, ge=0)
    ) -> ConcatenateIterator[str]:
        for number in range(1, to + 1):
            yield f"{number} "
            time.sleep(seconds)
