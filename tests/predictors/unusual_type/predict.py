from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, numbers: set) -> str:
        return str(numbers)
