from cog import BaseModel, Path, Secret


class TrainingOutput(BaseModel):
    weights: Path


def train(key: Secret, rounds: int = 1) -> TrainingOutput:
    Path("weights").write_text(key.get_secret_value()[::-1])
    return TrainingOutput(weights=Path("weights"))
