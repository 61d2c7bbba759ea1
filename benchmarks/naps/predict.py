import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds
