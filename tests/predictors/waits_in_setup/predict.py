import os
import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("waiting for the weights")
        while not os.path.exists(os.environ["COG_WEIGHTS"]):
            time.sleep(0.01)

    def predict(self) -> str:
        return "set up"
