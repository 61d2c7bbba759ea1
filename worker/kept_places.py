"""Where the service keeps on this machine what no model is to see.

How it is hidden from them stands in `veil`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from shared import write_turn
from shared.settings import Settings
from worker.surroundings import RUNTIME

_DATABASE_FILES = ("", "-wal", "-shm", "-journal", *write_turn.FILES)
"""What SQLite and we add to the name of a database for the files beside it."""


def kept_places(settings: Settings) -> tuple[Path, ...]:
    """Real places of files and folders, as far as they are there now. Blocks."""
    home = _real(settings.home)
    database = make_url(settings.database_url)
    socket = urlsplit(settings.redis_url)
    kept = [RUNTIME.parent / ".env"]
    if database.drivername.startswith("sqlite") and database.database:
        kept += _whole([Path(database.database + ending) for ending in _DATABASE_FILES])
    if socket.scheme == "unix":
        kept += _whole([Path(socket.path)])
    return (home, *(real for real in map(_real, kept) if os.path.exists(real) and not real.is_relative_to(home)))


def _whole(files: Sequence[Path]) -> Sequence[Path]:
    """Their folder, if it is the service's own: then what will be made there later is hidden, too."""
    folder = files[0].parent
    is_private = os.access(folder, os.R_OK) and not folder.stat().st_mode & 0o077
    return [folder] if is_private and {*folder.iterdir()} <= {*files} else files


def _real(place: Path) -> Path:
    return Path(os.path.realpath(place))
