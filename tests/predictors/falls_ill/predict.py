import os
from pathlib import Path

from cog import BasePredictor


class Predictor(BasePredictor):
    """Dies in setup as long as there is a file `ill` beside it."""

    def setup(self):
        print("looking for the weights", flush=True)
        if Path("ill").exists():
            os._exit(9)

    def predict(self, dies: bool = False) -> str:
        if dies:
            os._exit(3)
        return "well"
