"""One row of the table: a model's files, and what it answers to which inputs."""

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_IMPORTS = """\
from typing import *
from cog import AsyncConcatenateIterator, BasePredictor, BaseRunner, ConcatenateIterator, File, Input, Path, Secret
from cog import current_scope
"""
_MANIFEST = 'build:\n  python_version: "3.11"\npredict: "predict.py:Predictor"\n'


@dataclass(frozen=True)
class Answer:
    """What becomes of one input. Texts need only be contained in what is said."""

    given: dict[str, Any]
    output: Any = None
    error: str | None = None
    refusal: str | None = None
    logs: str = ""


def gives(output: Any, logs: str = "", **given: Any) -> Answer:
    return Answer(given, output, logs=logs)


def fails(error: str, output: Any = None, logs: str = "", **given: Any) -> Answer:
    return Answer(given, output, error=error, logs=logs)


def refuses(refusal: str, **given: Any) -> Answer:
    return Answer(given, refusal=refusal)


@dataclass(frozen=True)
class Row:
    name: str
    source: str
    answers: tuple[Answer, ...]
    files: dict[str, str] = field(default_factory=dict)
    setup_error: str | None = None
    since: int = 8
    """Of Python 3, the minor version whose syntax and names it needs."""
    package: str = ""
    """What it needs beside Python."""

    def write(self, folder: Path) -> None:
        contents = {"cog.yaml": _MANIFEST, "predict.py": self.source, **self.files}
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)


def row(
    name: str,
    source: str,
    *answers: Answer,
    setup_error: str | None = None,
    since: int = 8,
    package: str = "",
    **files: str,
) -> Row:
    """`source` is predict.py, below the imports that all have, or its own when it begins with some.

    Further files are named like `pack__inner_py`; `cog_yaml` replaces the usual one.
    """
    text = textwrap.dedent(source).lstrip("\n")
    whole = text if text.startswith("from __future__") else _IMPORTS + text
    named = {
        key.replace("__", "/").replace("_py", ".py").replace("_yaml", ".yaml"): each for key, each in files.items()
    }
    contents = {key: textwrap.dedent(each) for key, each in named.items()}
    return Row(name, whole, answers, contents, setup_error, since, package)


def predicts(name: str, signature: str, body: str, *answers: Answer, before: str = "", since: int = 8) -> Row:
    """A class with one short predict(); `before` stands above it."""
    head, keyword = textwrap.dedent(before), "async def" if signature.startswith("async ") else "def"
    signature = signature.removeprefix("async ")
    function = f"{keyword} predict{signature}:\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return row(
        name, f"{head}\nclass Predictor(BasePredictor):\n{textwrap.indent(function, '    ')}\n", *answers, since=since
    )
