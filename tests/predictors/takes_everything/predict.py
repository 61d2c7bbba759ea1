from typing import Any, Literal, Optional

from cog import BasePredictor, Input, Path, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        count: int = 3,
        scale: float = 1.0,
        size: str = Input(default="small", choices=["small", "large"]),
        mode: Literal["fast", "good"] = "fast",
        seed: int = Input(default=None),
        hint: Optional[str] = None,
        file: Path = Input(default=None),
        files: list[Path] = Input(default=[]),
        password: Secret = Input(default=None),
        extra: dict = Input(default={}),
    ) -> Any:
        return {
            "types": {name: type(value).__name__ for name, value in locals().items() if name != "self"},
            "count": count,
            "scale": scale,
            "seed": seed,
            "content": file and file.read_text(),
            "contents": [each.read_text() for each in files],
            "secret": password and password.get_secret_value(),
            "shown": str(password),
        }
