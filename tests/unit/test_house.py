"""The house rules a program can check: sizes, docstrings, settings, imports, and what must stay out of the checkout."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.settings import Settings
from worker.surroundings import model_environment

PROJECT = Path(__file__).resolve().parent.parent.parent
SERVICE = ("api", "worker", "serving", "shared", "cli")
ROOMS = (*SERVICE, "runtime")
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 350
# docker compose needs them; the service does not know them.
FOR_COMPOSE_ONLY = {"POSTGRES_PASSWORD"}
# Handed on to model processes, which read it.
FOR_MODELS_ONLY = {"PINION_BATCH_GENERATE", "PINION_CUDA_GRAPHS"}
# In halves, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile("/work" r"/(main|shared)\b|/root" r"/\.?[a-z]+/")
REGISTRIES = re.compile(
    "py" r"pi\.org|python" r"hosted\.org|npm" r"js\.(org|com)|crates" r"\.io|://[^\s/]+/[^\s]*/sim" r"ple\b"
)


def modules(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((PROJECT / room).rglob("*.py"))]


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported(path: Path) -> set[str]:
    """Names of the packages a module imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}


def tracked() -> list[Path]:
    """Every file of the checkout, also those about to be added; without git there is nothing to ask."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no git checkout: {error}")
    paths = [PROJECT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("path", modules(*ROOMS), ids=named)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES_MAX
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(ast.parse(text))}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("path", [path for path in modules(*ROOMS) if path.read_text().strip()], ids=named)
def test_a_module_says_what_room_it_is_and_something_more(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    first, *more = [line for line in docstring.splitlines() if line.strip()]
    assert first[0].isupper() or not first[0].isalpha()
    assert more, "one line is not enough: what does it not do, what is promised, what has to be known?"


def test_no_folder_of_tests_hides_a_package_of_ours() -> None:
    folders = {
        path.name for path in (PROJECT / "tests").rglob("*") if path.is_dir() and "node_modules" not in path.parts
    }
    assert folders.isdisjoint({*SERVICE, "migrations"})


@pytest.mark.parametrize("name", SERVICE)
def test_the_packages_tested_are_those_of_this_checkout(name: str) -> None:
    assert Path(importlib.import_module(name).__file__ or "").parent == PROJECT / name


@pytest.mark.parametrize("path", modules("runtime/pinion_runtime", "runtime/cog"), ids=named)
def test_what_runs_beside_a_model_needs_the_standard_library_only(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "cog", "pinion_runtime"}
    # loaded only where a model asks for BaseModel and has pydantic, or has imported Transformers itself
    where_it_is_there = {"pydantic_record.py": {"pydantic"}, "serving_threads.py": {"pinion_generate"}}
    assert imported(path) <= allowed | where_it_is_there.get(path.name, set())


@pytest.mark.parametrize("path", modules("runtime"), ids=named)
def test_the_runtime_shares_no_import_with_the_service(path: Path) -> None:
    assert imported(path).isdisjoint({*SERVICE, "migrations", "tests"})


@pytest.mark.parametrize("path", modules("api", "worker", "serving", "shared", "migrations"), ids=named)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    # A model process gets a selection of the variables, which has to be made from all of them;
    # `pinion serve` has no settings but Cog's own variables.
    readers = {PROJECT / "worker" / "surroundings.py", PROJECT / "serving" / "options.py"}
    assert path in readers or not re.search(r"os\.(environ|getenv)|from os import", path.read_text())


def example() -> dict[str, str]:
    """Names and values of .env.example, all commented out."""
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", (PROJECT / ".env.example").read_text(), re.MULTILINE))


def variable(field: str) -> str:
    """The environment variable a field of Settings is read from."""
    alias = Settings.model_fields[field].validation_alias
    choices = getattr(alias, "choices", [])
    return str(choices[0]) if choices else f"PINION_{field.upper()}"


def test_every_setting_stands_in_the_example_and_nothing_else() -> None:
    assert {variable(field) for field in Settings.model_fields} == set(example()) - FOR_COMPOSE_ONLY - FOR_MODELS_ONLY


@pytest.mark.parametrize("is_secluded", [False, True])
def test_what_only_models_read_reaches_them(monkeypatch: pytest.MonkeyPatch, is_secluded: bool) -> None:
    for name in FOR_MODELS_ONLY:
        monkeypatch.setenv(name, "said")
    given = model_environment({}, Path(sys.executable), is_secluded=is_secluded)
    assert {name: given.get(name) for name in FOR_MODELS_ONLY} == dict.fromkeys(FOR_MODELS_ONLY, "said")


def test_what_only_compose_needs_is_used_there() -> None:
    assert set(re.findall(r"\$\{([A-Z_]+)", (PROJECT / "docker-compose.yml").read_text())) >= FOR_COMPOSE_ONLY


def test_the_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    usual = Settings()
    for name, value in example().items():
        if value:
            monkeypatch.setenv(name, str(Path(value).expanduser()) if value.startswith("~") else value)
    assert Settings() == usual


def test_every_setting_is_explained_where_it_is_defined_or_by_its_name() -> None:
    source = ast.parse((PROJECT / "shared" / "settings.py").read_text())
    [body] = [node.body for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    fields = [index for index, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    silent = [
        body[index] for index in fields if not isinstance(body[index + 1], ast.Expr | ast.AnnAssign | ast.FunctionDef)
    ]
    assert silent == []


def test_no_path_of_a_machine_and_no_registry_is_in_the_checkout() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [(named(path), match[0]) for rule in (MACHINE_PATHS, REGISTRIES) for match in rule.finditer(text)]
    assert found == []


def test_the_pins_name_versions_and_no_addresses() -> None:
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 20
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[\w.+!-]+( ; .+)?", pin)] == []
    assert not [line for line in lines if "://" in line or "@" in line or line.startswith("-")]


def test_whatever_is_needed_is_pinned() -> None:
    pins = {line.partition("==")[0] for line in (PROJECT / "constraints.txt").read_text().splitlines()}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    needed = [
        *project["dependencies"],
        *(name for names in project["optional-dependencies"].values() for name in names),
    ]
    assert {re.split(r"[^\w.-]", name)[0] for name in needed} <= pins
