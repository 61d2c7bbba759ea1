"""A process dies at a point it was told to die at, the how manyth time it was told, and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared import crash
from tests.instance import PROJECT

_PROGRAM = """
import sys
from pathlib import Path
from shared import crash
crash.listen(Path(sys.argv[1]) if sys.argv[1] else None)
for _ in range(3):
    crash.at("before_send")
    print(flush=True)
"""


def passed(file: str) -> tuple[int, int]:
    """How often the point was passed of three times, and the exit code."""
    command = [sys.executable, "-c", _PROGRAM, file]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return len(done.stdout), done.returncode


@pytest.mark.parametrize(
    ("wish", "outcome"),
    [("before_send", (0, -9)), ("before_send:3", (2, -9)), ("before_send:4", (3, 0)), ("after_claim", (3, 0))],
)
def test_it_dies_as_it_was_told_and_once(tmp_path: Path, wish: str, outcome: tuple[int, int]) -> None:
    file = tmp_path / "crash"
    file.write_text(wish)
    assert passed(str(file)) == outcome
    assert file.exists() == (outcome[1] == 0)


def test_it_lives_where_nobody_wishes_otherwise(tmp_path: Path) -> None:
    assert passed("") == passed(str(tmp_path / "nothing")) == (3, 0)


@pytest.mark.parametrize("point", crash.POINTS)
def test_every_point_is_somewhere(point: str) -> None:
    places = [path for room in ("api", "worker", "shared") for path in (PROJECT / room).rglob("*.py")]
    assert any(f'crash.at("{point}")' in path.read_text() for path in places)
