import tempfile
from typing import List

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, texts: List[str]) -> List[Path]:
        folder = Path(tempfile.mkdtemp())
        paths = [folder / f"{number}.txt" for number in range(len(texts))]
        for path, text in zip(paths, texts):
            path.write_text(text)
        return paths
