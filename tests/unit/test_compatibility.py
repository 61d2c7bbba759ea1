"""docs/compatibility.md names a test for what it says: each of them has to exist, and every operation to be there."""

import ast
import re
from pathlib import Path

from api.app import create_app
from shared.settings import Settings

TESTS = Path(__file__).parent.parent
TEXT = (TESTS.parent / "docs" / "compatibility.md").read_text()


def names_in(path: Path) -> set[str]:
    found = ast.walk(ast.parse(path.read_text()))
    return {f"{path.stem}::{node.name}" for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_exists():
    named = set(re.findall(r"`(test_\w+::\w+)`", TEXT))
    assert len(named) > 60
    paths = [path for path in TESTS.rglob("test_*.py") if path.is_file()]
    assert named <= {name for path in paths for name in names_in(path)}


def test_every_operation_has_one_row():
    rows = re.findall(r"^\| `([\w.]+)` \| `test_", TEXT, re.MULTILINE)
    paths = create_app(Settings()).openapi()["paths"].values()
    assert sorted(rows) == sorted(operation["operationId"] for path in paths for operation in path.values())


def test_the_versions_are_those_that_are_tested():
    tested = (TESTS / "acceptance" / "javascript" / "package.json", TESTS / "acceptance" / "python_clients.py")
    text = "".join(path.read_text() for path in tested)
    shown = re.findall(r"^\| (?:Python |JavaScript )?`([@\w/-]+)`[^|]* \| ([\d.b]+) \|", TEXT, re.MULTILINE)
    assert len(shown) == 5
    for package, version in shown:
        assert re.search(rf'{package}(==|": "){re.escape(version)}"', text), (package, version)
