"""The one model of this server: its process is started, watched, and started again when it dies.

What runs on it is decided in `runs`; how it is spoken to stands in worker/process.py.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Any

from serving.interface import Interface
from serving.options import Options
from shared.errors import ModelNotReady, UnsupportedSchema
from worker.environment import Environments
from worker.events import SetupFailed
from worker.inputs import Download
from worker.process import ModelProcess
from worker.provisions import python_for_folder
from worker.shelf import Say
from worker.weights import Weights

_BACK_OFF_SECONDS = (0.0, 1.0, 5.0, 15.0, 60.0)
"""Between starts of a model that keeps dying."""
_STEADY_SECONDS = 60.0
"""A process that lived this long owes its death to what it ran, not to its start."""


class Health(StrEnum):
    """What `/health-check` can say.

    DEFUNCT: was ready once, died, and does not start again; it is still tried.
    UNHEALTHY: ready, but says that it is not well.
    """

    UNKNOWN = "UNKNOWN"
    STARTING = "STARTING"
    READY = "READY"
    BUSY = "BUSY"
    SETUP_FAILED = "SETUP_FAILED"
    DEFUNCT = "DEFUNCT"
    UNHEALTHY = "UNHEALTHY"


class Model:
    busy = "Already running a prediction"

    def __init__(self, options: Options, download: Download) -> None:
        self.folder = options.folder
        self._options = options
        self._download = download
        self.python: Path | None = None
        """That it runs on, once everything is there that it needs to start."""
        self._process: ModelProcess | None = None
        self._health = Health.UNKNOWN
        self._has_been_ready = False
        self._setup: dict[str, Any] = {}
        self.interface: Interface | None = None

    @property
    def health(self) -> Health:
        is_dead = self._process is not None and not self._process.alive
        return Health.STARTING if is_dead and self._health == Health.READY else self._health

    @property
    def setup(self) -> dict[str, Any]:
        """How the last start went, or goes."""
        if self.health == Health.STARTING and self._process:
            return {**self._setup, "logs": self._process.setup_logs}
        return self._setup

    @property
    def concurrency(self) -> int:
        """Predictions it can run at once."""
        return self._process.concurrency if self._process else 1

    def ready(self) -> tuple[Callable[[Say], nullcontext[ModelProcess]], Interface]:
        """The process that takes predictions now, which is not theirs to end; raises ModelNotReady."""
        if self.health != Health.READY or self._process is None or self.interface is None:
            raise ModelNotReady(_REASONS.get(self.health))
        process = self._process
        return lambda say: nullcontext(process), self.interface

    async def complaint(self) -> str | None:
        """Why a ready model says that it is not well; asked anew each time."""
        if self.health != Health.READY or self._process is None:
            return None
        word = await self._process.healthcheck()
        # one that has died meanwhile is not unwell, but starting
        return None if word.is_well or self.health != Health.READY else word.message

    async def keep(self) -> None:
        """Until it is canceled, or the first setup fails: what fails before anything has run would fail again.

        Raises SetupFailed when the model's environment or weights cannot be had, as then there is nothing to serve.
        """
        self._begin()
        self.python = await self._provide()
        failures = 0
        while True:
            began = monotonic()
            try:
                process = await self._start(self.python)
            except SetupFailed as failure:
                self._fail(failure)
                if not self._has_been_ready:
                    return
            else:
                self._succeed(process)
                await process.wait_closed()
                self._health = Health.STARTING
                _say("The model process has ended and is started again.")
            failures = 1 if monotonic() - began > _STEADY_SECONDS else failures + 1
            await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS)) - 1])

    async def stop(self) -> None:
        if self._process:
            await self._process.stop()

    def _begin(self) -> None:
        if self._health != Health.DEFUNCT:
            self._health = Health.STARTING
        self._setup = {"started_at": _now(), "completed_at": None, "status": "starting", "logs": ""}

    async def _provide(self) -> Path:
        """However long it takes: whoever waits sees how it goes, and can end it."""
        home = self._options.home
        environments, weights = Environments(home, limit=None), Weights(home, self._download, limit=None)
        return await python_for_folder(environments, weights, self._options.folder, self._options.python, _echo)

    async def _start(self, python: Path) -> ModelProcess:
        self._begin()
        process = await ModelProcess.start(
            self._options.folder,
            python=python,
            setup_limit=self._options.setup_limit,
            on_setup_log=_echo,
        )
        self._process = process
        try:
            self.interface = Interface(process.schema)
        except UnsupportedSchema as error:
            await process.stop()
            raise SetupFailed(error.message, process.setup_logs) from error
        await process.ready()
        return process

    def _succeed(self, process: ModelProcess) -> None:
        self._setup |= {"completed_at": _now(), "status": "succeeded", "logs": process.setup_logs}
        self._health, self._has_been_ready = Health.READY, True
        _say("The model is ready.")
        if self._options.readiness_file:
            _announce(self._options.readiness_file)

    def _fail(self, failure: SetupFailed) -> None:
        logs = failure.logs if failure.message in failure.logs else f"{failure.logs}{failure.message}\n"
        self._setup |= {"completed_at": _now(), "status": "failed", "logs": logs}
        self._health = Health.DEFUNCT if self._has_been_ready else Health.SETUP_FAILED
        _say(f"The model could not be set up: {failure.message}")


_REASONS = {
    Health.UNKNOWN: "The model is still being set up.",
    Health.STARTING: "The model is still being set up.",
    Health.SETUP_FAILED: "The model could not be set up; /health-check shows why.",
    Health.DEFUNCT: "The model has died and does not start again; /health-check shows why.",
}


def _announce(file: Path) -> None:
    """For Kubernetes, whose probe looks for this file."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        _say(f"{file} could not be made: {error.strerror}")


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _echo(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
