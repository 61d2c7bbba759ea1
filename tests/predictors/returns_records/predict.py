from dataclasses import field
from typing import List, Optional

from cog import BaseModel, BasePredictor, Path
from pydantic import Field


class Segment(BaseModel):
    start: float
    text: str = Field(default="", description="What is said.")


class Output(BaseModel):
    file: Path
    segments: List[Segment]
    tags: List[str] = field(default_factory=list)
    note: Optional[str]
    count: int = Field(default=0, ge=0)


class Predictor(BasePredictor):
    def predict(self) -> Output:
        output = Output(file="predict.py", segments=[{"start": "1.5"}, Segment(2, text=7)])
        output.tags.append(output.segments[0].model_dump_json())
        return output
