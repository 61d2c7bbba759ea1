import os

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return "parent" if child else "copy"
