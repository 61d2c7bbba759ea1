import time

from cog import BasePredictor, Secret


class Predictor(BasePredictor):
    def healthcheck(self) -> bool:
        return True

    def predict(self, name: str, what: str = "answer", password: Secret = Secret("xyzzy")) -> str:
        print(name, flush=True)
        self.record_metric("steps", 1)
        if what == "fail":
            raise ValueError(f"{name} was told to fail")
        if what == "wait":
            time.sleep(600)
        return name
