import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    answer = True

    async def healthcheck(self) -> bool:
        await asyncio.sleep(60 if self.answer is None else 0)
        return self.answer

    async def predict(self, answer: str, seconds: float = 0.0) -> str:
        self.answer = {"yes": True, "no": False, "hang": None}[answer]
        print("begun", flush=True)
        await asyncio.sleep(seconds)
        return answer
