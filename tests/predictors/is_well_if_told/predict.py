import time

from cog import BasePredictor


class Predictor(BasePredictor):
    answer = True

    def healthcheck(self) -> bool:
        print("asked")
        if isinstance(self.answer, str):
            raise RuntimeError(self.answer)
        return self.answer

    def predict(self, answer: str, seconds: float = 0.0) -> str:
        self.answer = {"yes": True, "no": False}.get(answer, answer)
        print("begun", flush=True)
        time.sleep(seconds)
        return answer
