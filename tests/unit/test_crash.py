"""A process dies at a point it was told to die at, the how manyth time it was told, and nowhere else."""

import subprocess
import sys

import pytest

from shared import crash
from tests.instance import PROJECT


def passed(wish: str, point: str = "before_send") -> tuple[int, int]:
    """How often the point was passed of three times, and the exit code."""
    program = "from shared import crash; import sys; crash.arm(sys.argv[1])\n"
    program += "for _ in range(3): crash.at(sys.argv[2]); print(flush=True)"
    done = subprocess.run([sys.executable, "-c", program, wish, point], cwd=PROJECT, capture_output=True, text=True)
    return len(done.stdout), done.returncode


@pytest.mark.parametrize(
    ("wish", "outcome"),
    [("", (3, 0)), ("before_send", (0, -9)), ("before_send:3", (2, -9)), ("after_claim", (3, 0))],
)
def test_it_dies_as_it_was_told(wish: str, outcome: tuple[int, int]) -> None:
    assert passed(wish) == outcome


@pytest.mark.parametrize("point", crash.POINTS)
def test_every_point_is_somewhere(point: str) -> None:
    places = [path for room in ("api", "worker", "shared") for path in (PROJECT / room).rglob("*.py")]
    assert any(f'crash.at("{point}")' in path.read_text() for path in places)
