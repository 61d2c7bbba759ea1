from hashlib import sha256
from typing import Any, List

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, file: Path, more: List[Path] = Input(default=[]), text: str = "") -> Any:
        described = [{"name": path.name, "sha256": sha256(path.read_bytes()).hexdigest()} for path in [file, *more]]
        return {"files": described, "folder": str(file.parent.parent), "text": text}
