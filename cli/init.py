"""`pinion init`: a model to begin with, in files that `pinion push` and Cog take as they are.

Nothing is sent.
"""

import sys
from pathlib import Path

from cli.failure import Failure

_FILES = {
    "cog.yaml": """\
build:
  # Without packages the model runs with Pinion's own Python, torch and transformers.
  python_version: "{version}"
  # python_packages:
  #   - numpy==2.2.0
  # gpu: true
predict: "predict.py:Predictor"
""",
    "predict.py": '''\
from cog import BasePredictor, ConcatenateIterator, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Load what takes long, once: the model's weights, for example."""
        self.greeting = "Hello"

    def predict(
        self,
        name: str = Input(description="Whom to greet", default="world"),
        times: int = Input(description="How often", default=1, ge=1, le=10),
    ) -> ConcatenateIterator[str]:
        """What is yielded is streamed to the client at once."""
        for number in range(times):
            yield f"{', ' if number else ''}{self.greeting} {name}"
''',
    ".dockerignore": """\
# What is not part of the model is not sent.
.git
.venv
**/__pycache__
**/.DS_Store
""",
}


def init(folder: Path) -> None:
    """Write the files, or none of them if one is there already."""
    for name in _FILES:
        if (folder / name).exists() or (folder / name).is_symlink():
            raise Failure(f"{folder / name} is there already: choose another folder, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text.replace("{version}", f"{sys.version_info.major}.{sys.version_info.minor}"))
        print(f"wrote {folder / name}")
    print(f"Next: pinion push {folder} pinion/{_model_name(folder)}")


def _model_name(folder: Path) -> str:
    """The folder's name as far as a model may be called so."""
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in folder.resolve().name.lower())
    return name.strip("-")[:63] or "my-model"
