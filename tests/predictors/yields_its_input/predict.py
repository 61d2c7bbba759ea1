from typing import Any, Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, values: list) -> Iterator[Any]:
        yield from values
