import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    """The same file in every prediction."""

    def setup(self) -> None:
        self.path = Path(tempfile.mkdtemp()) / "answer.txt"

    def predict(self, text: str, bytes_before: int = 0) -> Path:
        self.path.write_text(" " * bytes_before + text)
        return self.path
