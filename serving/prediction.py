"""One prediction or training: where it stands, what it has brought forth so far, and how that looks to a client.

It lives in memory only. Who runs it, and who is told, is decided elsewhere.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from serving.history import History
from serving.interface import Interface
from serving.wish import Wish
from worker.events import Done, Event, Log, Metric, Output
from worker.metrics import apply


class Prediction:
    """Running from the moment it is made; `ended` is done when it has its final status."""

    def __init__(self, wish: Wish, interface: Interface, history_events: int) -> None:
        self.id, self.input = wish.id, wish.input
        self.history = History(history_events)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outputs, self.prints = 0, 0  # how many came, for whoever wants to know whether there is news
        self.status = "processing"
        self._shown_input = interface.shown(wish.input)
        self._is_iterator = interface.is_iterator
        self._output: Any = [] if self._is_iterator else None
        self._logs: list[str] = []
        self._error: str | None = None
        self._metrics: dict[str, Any] = {}
        self._began = time.perf_counter()
        self.started_at = datetime.now(UTC)
        self._created_at = wish.created_at or self.started_at.isoformat()
        self._completed_at: str | None = None
        self.history.add("start", {"id": self.id, "status": self.status})

    def take(self, event: Event) -> None:
        """One event of the model's process."""
        match event:
            case Output(value):
                self.history.add("output", {"chunk": value, "index": self.outputs})
                self._output.append(value)
                self.outputs += 1
            case Log(text):
                self.history.add("log", {"source": "stdout", "data": text})
                self._logs.append(text)
                self.prints += 1
            case Metric(name, value, mode):
                shown_mode = "increment" if mode == "incr" else mode
                self.history.add("metric", {"name": name, "value": value, "mode": shown_mode})
                apply(self._metrics, event)

    def finish(self, done: Done) -> None:
        """Its last word; the time taken counts the fetching of inputs and the storing of outputs, too."""
        if not self._is_iterator:
            self._output = done.output
        self.status, self._error = done.status, done.error
        self._metrics["predict_time"] = time.perf_counter() - self._began
        self._completed_at = datetime.now(UTC).isoformat()
        self.history.add("completed", self.rendered(), is_last=True)
        self.ended.set_result(None)

    def rendered(self) -> dict[str, Any]:
        """The whole object, null fields included."""
        return {
            "input": self._shown_input,
            "output": list(self._output) if self._is_iterator else self._output,
            "id": self.id,
            "version": None,
            "created_at": self._created_at,
            "started_at": self.started_at.isoformat(),
            "completed_at": self._completed_at,
            "status": self.status,
            "error": self._error,
            "logs": "".join(self._logs),
            "metrics": dict(self._metrics),
        }
