import os
import tempfile
from typing import Iterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    """The same file again and again, and gone in the end."""

    def predict(self, texts: list, bytes_before: int = 0) -> Iterator[Path]:
        path = Path(tempfile.gettempdir()) / f"same-{os.getpid()}.txt"
        try:
            for text in texts:
                path.write_text(" " * bytes_before + text)
                yield path
        finally:
            print("cleaned up", flush=True)
            path.unlink()
