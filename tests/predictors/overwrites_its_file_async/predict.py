import asyncio
import os
import tempfile
from typing import AsyncIterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    """The same file again and again, and gone in the end."""

    async def predict(self, texts: list, bytes_before: int = 0) -> AsyncIterator[Path]:
        path = Path(tempfile.gettempdir()) / f"same-{os.getpid()}.txt"
        try:
            for text in texts:
                path.write_text(" " * bytes_before + text)
                yield path
        except asyncio.CancelledError:
            print("canceled")
            raise
        finally:
            print("cleaned up", flush=True)
            path.unlink()
