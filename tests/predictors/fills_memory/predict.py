import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self):
        self.data = b"x" * 100_000_000

    def predict(self, seconds: float = 0.0) -> int:
        print("begun")
        time.sleep(seconds)
        return len(self.data)
