"""What of our environment the programs of a model may see: its process, and uv when it builds for one.

A list of what is allowed, so that a new secret is never on it. Nothing is started here.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
"""What of our code a model's process sees."""
_MODEL = (
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_(FILE|DIR)|\w+_CA_BUNDLE"
    r"|(HTTPS?|NO|ALL|https?|no|all)_(PROXY|proxy)"
    r"|(LC|CUDA|NVIDIA|NCCL|ROCR|HIP|HSA|HF|TRANSFORMERS|TOKENIZERS|TORCH|PYTORCH|TRITON|OMP|MKL|OPENBLAS|XDG|COG)_\w+"
    r"|HUGGING_FACE_HUB_TOKEN|PINION_(BATCH_GENERATE|CUDA_GRAPHS)"
)
_FOR_MODELS = re.compile(_MODEL)
# In a sandbox there is no network, and nothing of ours in a home or a cache: no proxy, no token, no place of ours.
_FOR_SECLUDED = re.compile(
    r"PATH|LANG|LANGUAGE|TZ|LD_LIBRARY_PATH|(LC|CUDA|NVIDIA|NCCL|ROCR|HIP|HSA|PYTORCH|OMP|MKL|OPENBLAS|COG)_\w+"
    r"|PINION_(BATCH_GENERATE|CUDA_GRAPHS)"
)
# What opens a door elsewhere is handed on only to a model that asks for it.
_SECRET = re.compile(r"(\w+_)?(TOKENS?|KEYS?|SECRETS?|PASSWORDS?|PASSWD|CREDENTIALS?)(_\w+)?")
# Addresses of package indexes may hold a password; a model's process gets none of them.
_ONLY_FOR_BUILDS = re.compile(r"(UV|PYENV|GIT)_\w+|NETRC|CC|CXX")


def may_ask_for(name: str) -> bool:
    """Whether a model can have a variable of ours if it asks: a token of the Hub, but no secret of the service."""
    return _FOR_MODELS.fullmatch(name) is not None


def model_environment(
    added: Mapping[str, str], python: Path, *, asked: Collection[str] = (), is_secluded: bool
) -> dict[str, str]:
    """The whole environment of a model's process; programs of its own interpreter's environment come first.

    `asked` are names that are handed on even if they look like secrets, but not into a sandbox.
    """
    allowed = _allowed(_FOR_SECLUDED) if is_secluded else _allowed(_FOR_MODELS, asked)
    path = os.pathsep.join(filter(None, (str(python.parent), allowed.get("PATH"))))
    # a Python program that the model starts should print at once, like the model itself
    return {**allowed, "PATH": path, "PYTHONUNBUFFERED": "1", **added}


def named_places() -> list[Path]:
    """What our environment names for models, and where they keep by custom what they have downloaded."""
    values = [*_allowed(_FOR_MODELS).values(), os.path.expanduser("~/.cache")]
    return [Path(value) for value in values if os.path.isabs(value) and os.pathsep not in value]


def build_environment(sources: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of uv, and so of packages that run code while they are built."""
    own = {name: value for name, value in os.environ.items() if _ONLY_FOR_BUILDS.fullmatch(name)}
    return {**sources, **_allowed(_FOR_MODELS), **own}


def _allowed(names: re.Pattern[str], asked: Collection[str] = ()) -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if names.fullmatch(name) and (name in asked or not _SECRET.fullmatch(name))
    }
