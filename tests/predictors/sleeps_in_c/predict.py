import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, seconds: float) -> str:
        print("asleep", flush=True)
        time.sleep(seconds)
        return "awake"
