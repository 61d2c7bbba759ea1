"""`pinion lint`, `pinion test` and `pinion faults`: the tools that guard this code, one after the other.

What they demand is set in pyproject.toml.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.failure import Failure
from cli.home import PROJECT

_BIN = Path(sys.executable).parent
_TOOLS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)

_SHARED = ("--numprocesses", "3")
"""Who gets what is said in tests/shares.py. One more than there are cores, because tests often wait."""

_FAULTS = ("tests/faults", "tests/integration/test_senders.py")
"""The latter kills senders more often than there is time for in every change."""


def lint() -> None:
    """Run all of them, also after one has found something: one wants to know everything at once."""
    failed = [" ".join(tool) for tool in _TOOLS if not _succeeds(tool)]
    if failed:
        raise Failure(f"These found something to mend: {', '.join(failed)}.")


def test(arguments: Sequence[str]) -> None:
    """The linters, then the tests, shared by three processes; the arguments are pytest's."""
    lint()
    if not _succeeds(("pytest", *_SHARED, *arguments)):
        raise Failure("Tests failed.")


def faults(soak_minutes: float) -> None:
    """All tests of faults, those that take long as well, and their results written down."""
    soak = ("--soak-minutes", str(soak_minutes))
    if not _succeeds(("pytest", *_FAULTS, "--slow", "--write-results", *soak)):
        raise Failure("Something did not hold through a fault: see above.")


def _succeeds(tool: Sequence[str]) -> bool:
    print(f"── {' '.join(tool)}", flush=True)
    program = _BIN / tool[0]
    if not program.exists():
        raise Failure(f"{tool[0]} is not installed: start this through ./pinion, which installs what it needs.")
    return subprocess.run([program, *tool[1:]], cwd=PROJECT).returncode == 0  # noqa: S603 - one of the tools above
