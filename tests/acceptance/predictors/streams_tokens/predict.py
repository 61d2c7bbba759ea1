import time

from cog import BasePredictor, ConcatenateIterator, Input


class Predictor(BasePredictor):
    def predict(
        self, tokens: list[str], seconds: float = Input(default=0.0, ge=0), fails: bool = False
    ) -> ConcatenateIterator[str]:
        for token in tokens:
            yield token
            time.sleep(seconds)
        if fails:
            raise RuntimeError("out of tokens")
