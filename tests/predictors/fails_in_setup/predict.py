from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("loading weights")
        raise RuntimeError("the weights are missing")

    def predict(self) -> str:
        return "never"
