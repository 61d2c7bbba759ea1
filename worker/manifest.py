"""The model's cog.yaml, of either generation of Cog, as a checked model: every complaint is a sentence with its key.

Nothing is started or built here; what a key means to a build stands in `environment` and `remarks`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from worker.events import SetupFailed
from worker.surroundings import may_ask_for, model_environment

_OLDEST_MINOR = 8
"""What the runtime beside a model runs on; see runtime/ruff.toml."""
_SOURCE_FOLDER = "/src"
"""Where an image of Cog has the model's folder."""
_LARGEST_BYTES = 1 << 20
_COMPLAINTS_SHOWN = 5
_REFERENCE = re.compile(r"[^:]+\.py(:[A-Za-z_]\w*)?")
_PYTHON_VERSION = re.compile(r"3\.(\d{1,2})(\.\d{1,3})?")
_KINDS = {
    "string_type": "a text",
    "list_type": "a list",
    "model_type": "a mapping of keys to values",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "1 or more",
}
"""What a value of pydantic's error type should have been."""


def _as_text(value: Any) -> Any:
    """YAML reads an unquoted 11.8 as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_version(value: Any) -> Any:
    # 3.1 is what YAML makes of an unquoted 3.10, and there is no other Python it could mean.
    return "3.10" if _is_short_for_310(value) else _as_text(value)


def _is_short_for_310(value: Any) -> bool:
    return isinstance(value, float) and value == 3.1


def _check_version(value: str) -> str:
    found = _PYTHON_VERSION.fullmatch(value)
    if not found or int(found[1]) < _OLDEST_MINOR:
        raise ValueError(f'must be a version of Python from 3.{_OLDEST_MINOR} on, in quotes like "3.11"')
    return value


def _check_assignment(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError("must be a list of NAME=value")
    if not all("=" in entry[1:] or may_ask_for(entry) for entry in value):
        raise ValueError("must be a list of NAME=value; by a NAME alone only HF_TOKEN and the like can be asked for")
    return value


def _check_reference(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        raise ValueError('must name a file and what is in it, like "train.py:train"')
    return value


def _check_target(value: str) -> str:
    path = PurePosixPath(value)
    path = path.relative_to(_SOURCE_FOLDER) if path.is_relative_to(_SOURCE_FOLDER) else path
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"must be a place in the model's folder, like {_SOURCE_FOLDER}/weights")
    return str(path)


Text = Annotated[str, BeforeValidator(_as_text)]
Reference = Annotated[str, AfterValidator(_check_reference)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, content: Any) -> Any:
        """A key without a value is as good as none."""
        if isinstance(content, dict):
            return {str(key): value for key, value in content.items() if value is not None}
        return content


class RunStep(_Section):
    """A shell command of the image's build."""

    command: str
    mounts: list[dict[str, Any]] = []

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, content: Any) -> Any:
        return {"command": content} if isinstance(content, str) else content


class Build(_Section):
    """What a model needs around it."""

    python_version: Annotated[str, BeforeValidator(_as_version), AfterValidator(_check_version)] | None = None
    python_packages: list[Text] = []
    python_requirements: str | None = None
    python_overrides: Any = None
    system_packages: list[str] = []
    run: list[RunStep] = []
    pre_install: list[str] = []
    gpu: bool = False
    cuda: Text | None = None
    cudnn: Text | None = None
    sdk_version: Text | None = None
    fast: bool = False
    cog_runtime: bool = False

    @model_validator(mode="after")
    def _refuse_two_lists(self) -> "Build":
        if self.python_packages and self.python_requirements:
            raise ValueError("must have python_packages or python_requirements, not both")
        return self


class Concurrency(_Section):
    """How many predictions a model's process runs at once."""

    max: int = Field(default=1, ge=1)
    default_target: int | None = Field(default=None, ge=1)


class WeightsSource(_Section):
    """Where managed weights come from."""

    uri: str
    include: list[str] = []
    exclude: list[str] = []


class WeightsTarget(_Section):
    """Weights that Cog manages apart from the code, and their place in the model's folder."""

    name: str
    target: Annotated[str, AfterValidator(_check_target)]
    source: WeightsSource | None = None


class CogYaml(_Section):
    """The whole file: the union of what both generations of Cog know."""

    build: Build = Build()
    predict: str | None = None
    run: str | None = None
    train: Reference | None = None
    image: str | None = None
    model: str | None = None
    concurrency: Concurrency | None = None
    environment: Annotated[list[str], BeforeValidator(_check_assignment)] = []
    weights: list[WeightsTarget] = []
    tests: Any = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in a model's cog.yaml."""

    reference: str
    """`file.py:Name` of the predictor."""
    content: CogYaml
    remarks: tuple[str, ...]
    """What a person should know about how it was read."""

    @property
    def build(self) -> Build:
        return self.content.build

    def environment(self, python: Path, given: Mapping[str, str], *, is_secluded: bool) -> dict[str, str]:
        """The whole environment of the model's process, which that interpreter runs; cog.yaml wins over `given`."""
        own = dict(entry.split("=", 1) for entry in self.content.environment if "=" in entry)
        asked = [entry for entry in self.content.environment if "=" not in entry]
        return model_environment({**given, **own}, python, asked=asked, is_secluded=is_secluded)

    @property
    def concurrency(self) -> int | None:
        """Predictions at once, where cog.yaml says it."""
        said = self.content.concurrency
        return said.max if said else None

    @property
    def weights(self) -> list[WeightsTarget]:
        """Those that are to be fetched."""
        return self.content.weights

    @property
    def train(self) -> str | None:
        """`file.py:name` of the training, if there is one."""
        return self.content.train


def read_manifest(source: Path) -> Manifest:
    """The manifest of a model's folder; raises SetupFailed with a sentence."""
    content = _load(source / "cog.yaml")
    try:
        checked = CogYaml.model_validate(content)
    except ValidationError as error:
        complaints = [_complaint(dict(found)) for found in error.errors(include_url=False)]
        raise SetupFailed(" ".join(complaints[:_COMPLAINTS_SHOWN])) from None
    named = [name for name in (checked.predict, checked.run) if name]
    if len(named) != 1 or not _REFERENCE.fullmatch(named[0]):
        raise SetupFailed(_NO_PREDICTOR)
    return Manifest(named[0], checked, _remarks(content))


_NO_PREDICTOR = 'cog.yaml must name the predictor, once, like `predict: "predict.py:Predictor"`.'


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise SetupFailed(f"cog.yaml cannot be read: it has more than {_LARGEST_BYTES} bytes.")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SetupFailed("The model has no cog.yaml.") from None
    except yaml.MarkedYAMLError as error:
        raise SetupFailed(_syntax_complaint(error)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise SetupFailed(f"cog.yaml cannot be read: {error}") from error
    if content is None:
        raise SetupFailed(_NO_PREDICTOR)
    if not isinstance(content, dict):
        raise SetupFailed('cog.yaml must be a mapping of keys to values, like `predict: "predict.py:Predictor"`.')
    return content


def _syntax_complaint(error: yaml.MarkedYAMLError) -> str:
    """Where it was begun counts for what was never ended: a quote, a bracket."""
    mark = error.context_mark or error.problem_mark
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"cog.yaml is no valid YAML{place}: {', '.join(filter(None, (error.context, error.problem)))}."


def _remarks(content: dict[str, Any]) -> tuple[str, ...]:
    build = content.get("build")
    if isinstance(build, dict) and _is_short_for_310(build.get("python_version")):
        return ('`build.python_version: 3.1` is read as 3.10. Put it in quotes, "3.10": YAML drops the zero.',)
    return ()


def _complaint(error: dict[str, Any]) -> str:
    """One of pydantic's errors as a sentence."""
    place: tuple[str | int, ...] = error["loc"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"cog.yaml has a key `{path}` that Cog does not know. {_proposal(place)}"
    if error["type"] == "missing":
        return f"`{path}` is missing in cog.yaml."
    if error["type"] == "value_error":
        return f"`{path}` in cog.yaml {error['ctx']['error']}."
    kind = _KINDS.get(error["type"])
    return f"`{path}` in cog.yaml must be {kind}." if kind else f"`{path}` in cog.yaml: {error['msg']}."


def _proposal(place: tuple[str | int, ...]) -> str:
    """The known key that was probably meant: spelled alike beside it, else the same in another section."""
    *parents, key = place
    section: type[BaseModel] = CogYaml
    for name in (name for name in parents if isinstance(name, str)):
        section = _SECTIONS[name]
    if near := get_close_matches(str(key), section.model_fields, n=1):
        return f"Did you mean `{near[0]}`?"
    for prefix, other in (("build.", Build), ("", CogYaml)):
        if other is not section and (near := get_close_matches(str(key), other.model_fields, n=1)):
            return f"Did you mean `{prefix}{near[0]}`?"
    return f"It knows {', '.join(section.model_fields)}."


_SECTIONS: dict[str, type[BaseModel]] = {
    "build": Build,
    "run": RunStep,
    "concurrency": Concurrency,
    "weights": WeightsTarget,
    "source": WeightsSource,
}
