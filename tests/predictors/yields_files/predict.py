import tempfile
import time
from typing import Any, Iterator, List

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, texts: List[str], seconds: float = 0, bytes_before: int = 0) -> Iterator[Any]:
        for number, text in enumerate(texts):
            path = Path(tempfile.mkdtemp()) / f"{number}.txt"
            path.write_text(" " * bytes_before + text)
            yield path
            yield f"after {number}"
            time.sleep(seconds)
