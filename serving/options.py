"""What one server is to do: its command line, and the variables of the environment that Cog knows.

Nobody else in this room reads the environment; the settings of the service have no meaning here.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

_PORT = 5000
_READINESS_FILE = Path("/var/run/cog/ready")
_WEBHOOK_INTERVAL_SECONDS = 0.5
_HISTORY_EVENTS = 1024

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Options:
    """Everything decided before the server starts."""

    folder: Path
    home: Path
    """Our data folder, which the service uses too: what was built for a model once is used by both."""
    host: str
    port: int
    python: Path | None
    """The interpreter the model runs on; None is the one of the environment that its cog.yaml asks for."""
    upload_url: str | None
    """Where output files are put; None leaves them in the answer, as data URLs."""
    ignores_sigterm: bool
    setup_limit: timedelta | None
    webhook_interval: timedelta
    """Shortest time between two `output` or `logs` webhooks of a prediction."""
    webhook_token: str
    history_events: int
    """How many events of a prediction are replayed to a client that comes back."""
    readiness_file: Path | None


def read_options(arguments: Sequence[str]) -> Options:
    """Ends the program with a sentence where something cannot be meant."""
    given = _parser().parse_args(arguments)
    environment = os.environ
    setup_seconds = _number(environment, "COG_SETUP_TIMEOUT", float, 0.0)
    interval = _number(environment, "COG_THROTTLE_RESPONSE_INTERVAL", float, _WEBHOOK_INTERVAL_SECONDS)
    return Options(
        folder=given.folder.resolve(),
        home=given.home,
        host=given.host,
        port=_number(environment, "PORT", int, _PORT) if given.port is None else given.port,
        python=given.python,
        upload_url=given.upload_url,
        ignores_sigterm=given.await_explicit_shutdown,
        setup_limit=timedelta(seconds=setup_seconds) if setup_seconds else None,
        webhook_interval=timedelta(seconds=interval),
        webhook_token=environment.get("WEBHOOK_AUTH_TOKEN", ""),
        history_events=_number(environment, "COG_STREAM_HISTORY_CAPACITY", int, _HISTORY_EVENTS),
        readiness_file=_READINESS_FILE if environment.get("KUBERNETES_SERVICE_HOST") else None,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--python", type=Path)
    parser.add_argument("--upload-url")
    parser.add_argument("--await-explicit-shutdown", action="store_true")
    return parser


def _number(environment: Mapping[str, str], name: str, kind: Callable[[str], Number], default: Number) -> Number:
    text = environment.get(name, "")
    try:
        number = kind(text) if text else default
    except ValueError:
        number = default - default - 1
    if not 0 <= number < float("inf"):
        raise SystemExit(f"pinion: {name} must be a number that is not negative, not {text!r}.")
    return number
