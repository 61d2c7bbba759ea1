import tempfile
from typing import Any

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.kept = Path(tempfile.mkdtemp()) / "kept.txt"
        self.kept.write_text("made in setup")

    def predict(self, path: str) -> Any:
        return {"path": Path(path) if path else self.kept}
