"""Programs of ours in processes of their own, each begun in a fraction of a second.

Python's fork server has everything loaded and forks. It starts with the first program and ends with the tests. Nothing
is asserted here.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from tests.database_fixtures import PROJECT, until

_LOADED_LATE = (
    "alembic.command",
    "anyio._backends._asyncio",
    "cli.accounts",
    "cli.check",
    "cli.collections",
    "cli.migrate",
)
"""What the programs load when they need it."""
_forking = get_context("forkserver")
_forking.set_forkserver_preload([__name__, "cli.__main__", "worker.__main__", *_LOADED_LATE])


def fork(more: Mapping[str, str], package: str, *arguments: str, output: Path | None = None) -> ForkServerProcess:
    """`python -m package …` with more in its environment than the tests have.

    What it says goes into the files `out` and `err` of a folder, or where the tests' goes.
    """
    given = ({**os.environ, **more}, [package, *arguments], output)
    process = _forking.Process(target=_become, args=given, daemon=True)
    with chdir(PROJECT):  # where the fork server finds this module, should it begin now
        process.start()
    return process


async def run(more: Mapping[str, str], package: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The same to its end."""
    with TemporaryDirectory() as folder:
        output = Path(folder)
        process = fork(more, package, *arguments, output=output)
        await until(lambda: not process.is_alive(), 60)
        out, err = [(output / name).read_text() for name in ("out", "err")]
    assert process.exitcode is not None
    return subprocess.CompletedProcess([package, *arguments], process.exitcode, out, err)


def _become(environment: dict[str, str], command: list[str], output: Path | None) -> None:
    Thread(target=_end_with_the_tests, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(PROJECT)
    for name, descriptor in (("out", 1), ("err", 2)) if output else ():
        with (output / name).open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.argv = command
    import_module(f"{command[0]}.__main__").main()


def _end_with_the_tests() -> None:
    """Also where those were killed: without it, neither a service nor the fork server would notice."""
    tests = parent_process()
    assert tests
    tests.join()
    os._exit(1)
