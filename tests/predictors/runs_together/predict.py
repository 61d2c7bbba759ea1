import asyncio
import sys

from cog import AsyncConcatenateIterator, BasePredictor, current_scope


class Predictor(BasePredictor):
    async def setup(self) -> None:
        self.present = set()
        self.somebody_came = asyncio.Condition()

    async def predict(self, name: str, together: int = 1, to: int = 3) -> AsyncConcatenateIterator[str]:
        """Goes on once so many predictions have been here."""
        async with self.somebody_came:
            self.present.add(name)
            self.somebody_came.notify_all()
            await self.somebody_came.wait_for(lambda: len(self.present) >= together)
        for number in range(to):
            print(f"{name} prints {number}")
            print(f"{name} warns", end=f" {number};", file=sys.stderr)
            await asyncio.sleep(0)
            current_scope().record_metric(name, number)
            yield f"{name}{number}"
        print("the end of", name, end="")
