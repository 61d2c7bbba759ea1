from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Path


def train(
    data: Path, epochs: int = Input(default=1, ge=1), size: str = Input(default="tiny", choices=["tiny", "huge"])
) -> TrainingOutput:
    for epoch in range(epochs):
        print(f"epoch {epoch}")
    return TrainingOutput(weights=data)
