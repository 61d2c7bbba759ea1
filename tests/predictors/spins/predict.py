from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        print("spinning", flush=True)
        while True:
            pass
