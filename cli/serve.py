"""`pinion serve`: becomes the server of one directory.

What is served stands in the package `serving`; it is started like any program, because commands import only `shared`.
"""

import os
import sys
from pathlib import Path

from cli import home
from cli.failure import Failure


def serve(folder: Path, options: dict[str, object]) -> None:
    """Never returns; options that were not given are None or False."""
    if not folder.is_dir():
        raise Failure(f"{folder} is not a folder: name one with a cog.yaml in it.")
    arguments = [str(folder.resolve()), "--home", str(home.locate(os.environ))]
    for name, value in options.items():
        if value is not None and value is not False:
            arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "serving", *arguments])  # noqa: S606 - no shell is wanted
