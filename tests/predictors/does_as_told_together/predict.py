import asyncio

from cog import BasePredictor, Secret, concurrent


class Predictor(BasePredictor):
    async def healthcheck(self) -> bool:
        return True

    @concurrent(max=2)
    async def predict(self, name: str, what: str = "answer", password: Secret = Secret("xyzzy")) -> str:
        print(name)
        self.record_metric("steps", 1)
        if what == "fail":
            raise ValueError(f"{name} was told to fail")
        await asyncio.sleep(600 if what == "wait" else 0)
        return name
