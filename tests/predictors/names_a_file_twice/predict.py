import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self) -> dict:
        with tempfile.NamedTemporaryFile(delete=False, suffix=".txt") as file:
            file.write(b"once")
        return {"first": Path(file.name), "second": [Path(file.name)]}
