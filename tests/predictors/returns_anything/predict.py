import dataclasses
import datetime
import enum
import io
import math
from typing import Any

from cog import BaseModel, BasePredictor, Path


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    near: Any = None


class Record(BaseModel):
    name: str
    point: Point


class Predictor(BasePredictor):
    def predict(self, what: str, path: str = "", size: int = 0) -> Any:
        return {
            "record": lambda: Record(name="a", point=Point(1, Colour.RED)),
            "set": lambda: {3},
            "generator": lambda: (number for number in range(3)),
            "time": lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
            "false": lambda: False,
            "empty": lambda: "",
            "none": lambda: None,
            "nan": lambda: {"score": [math.nan]},
            "object": lambda: object(),
            "file": lambda: [Path(path)],
            "bytes": lambda: io.BytesIO(b"\xff"),
            "unclean": lambda: "a\ud800b\0c\\u0000",
            "large": lambda: "x" * size,
        }[what]()
