from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, message: str = "out of cheese", times: int = 1) -> str:
        raise ValueError(message * times)
