import asyncio

from cog import AsyncConcatenateIterator, BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        await asyncio.sleep(0)
        self.start = 1

    async def predict(self, to: int = 3, seconds: float = 0.0) -> AsyncConcatenateIterator[str]:
        for number in range(self.start, to + 1):
            yield f"{number} "
            await asyncio.sleep(seconds)
