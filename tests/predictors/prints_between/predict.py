from typing import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, to: int) -> Iterator[int]:
        for number in range(to):
            print(f"before {number};", end="", flush=True)
            yield number
