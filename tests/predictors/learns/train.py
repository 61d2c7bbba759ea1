import os
import time

from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Path


def train(
    word: str,
    waits_for: str = Input(default="", description="A file without which it does not end."),
    forgets: bool = False,
    fails: bool = False,
) -> TrainingOutput:
    print("learning", word, flush=True)
    while waits_for and not os.path.exists(waits_for):
        time.sleep(0.005)
    if fails:
        raise ValueError(f"{word} is too hard")
    if forgets:
        return None
    Path("weights").write_text(word)
    return TrainingOutput(weights=Path("weights"))
