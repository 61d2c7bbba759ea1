import io
import sys

from cog import BasePredictor

sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")


class Predictor(BasePredictor):
    async def predict(self, text: str) -> str:
        print(text)
        return f"{sys.stdout.fileno()} {sys.stdout.isatty()} {sys.__stdout__.name}"
