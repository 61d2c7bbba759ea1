from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        return "predicted"


class Trainer:
    def setup(self) -> None:
        self.start = 40

    def train(self, steps: int) -> int:
        return self.start + steps
