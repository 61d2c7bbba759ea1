"""What a model process has to say: its events, how a prediction ended, and why it could not be started or run.

Data only; `process` makes them, whoever runs a prediction takes them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Output:
    """One item of an iterator. Here and in Done, {"$file": path} stands for a file of the model process."""

    value: Any


@dataclass(frozen=True, slots=True)
class Log:
    text: str


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    value: Any
    mode: str  # replace, incr, append; a value of None deletes the metric


@dataclass(frozen=True, slots=True)
class Done:
    """The output is the whole value of a model that is no iterator; predict_time is in seconds."""

    status: Literal["succeeded", "failed", "canceled"]
    output: Any = None
    error: str | None = None
    predict_time: float | None = None


Event = Output | Log | Metric
Take = Callable[[Event], "asyncio.Future[None] | None"]
"""Hears an event. Until the future is done, the files named in an output are still needed as they are."""


class Canceled(Exception):
    """The prediction was canceled before it began to run."""


class SetupFailed(Exception):
    """The model could not be started; the message says why, `logs` is what it printed until then."""

    def __init__(self, message: str, logs: str = "") -> None:
        super().__init__(message)
        self.message, self.logs = message, logs


class Unhealthy(SetupFailed):
    """The model has failed so often that it is not tried again for the moment."""

    def __init__(self, failures: int, seconds_left: float, last: SetupFailed) -> None:
        reason = last.message.rstrip(".")
        super().__init__(
            f"The model is unhealthy: it failed {failures} times in a row, the last time with: {reason}. "
            f"It is tried again in {ceil(seconds_left)} s; a new version that works can be pushed at any time.",
            last.logs,
        )
