import time

from cog import BasePredictor, CancelationException


class Predictor(BasePredictor):
    def predict(self, patience: float = 0.0) -> str:
        try:
            print("asleep", flush=True)
            time.sleep(60)
        except CancelationException:
            time.sleep(patience)
        return "as if nothing had happened"
