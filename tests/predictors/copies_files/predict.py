import pathlib
import tempfile
from typing import Iterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, source: Path, times: int = 2) -> Iterator[Path]:
        print("read", source.name)
        for number in range(times):
            copy = pathlib.Path(tempfile.mkdtemp()) / f"copy {number}.txt"
            copy.write_text(f"{source.read_text()} {number}")
            print("wrote", copy)
            yield Path(copy)
