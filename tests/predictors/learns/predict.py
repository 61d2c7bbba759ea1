from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def setup(self, weights: Path = None):
        self.learned = weights.read_text() if weights else "nothing"

    def predict(self) -> str:
        return f"I learned {self.learned}"
