from enum import Enum

from cog import BasePredictor, Input


class Style(str, Enum):
    SHORT = "short"
    LONG = "long"


class Predictor(BasePredictor):
    def predict(
        self,
        Style: str = Input(choices=list(Style), default=Style.SHORT),
        Status: str = Input(choices=["on", "off"], default="on"),
        Output: int = Input(choices=[1, 2], default=1),
    ) -> str:
        return f"{Style} {Status} {Output}"
