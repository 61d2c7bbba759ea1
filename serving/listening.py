"""The HTTP server underneath: uvicorn with signals of our own.

What is answered is decided in `app`.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from serving.app import App
from shared.http_door import Bounds, Door

_KEEP_ALIVE_SECONDS = 30
"""Longer than clients keep idle connections, so that a request never meets one that is being closed."""


class Listening(uvicorn.Server):
    """Stops accepting when told to, and returns when the last answer is out; told twice, runs are canceled."""

    def __init__(
        self, make_app: Callable[[Callable[[], None]], App], cancel_all: Callable[[], None], *, ignores_sigterm: bool
    ) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(self.stop),
                http=Door(Bounds(always_answered=("/health-check",))).connection,  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._cancel_all = cancel_all
        self._ignores_sigterm = ignores_sigterm

    def stop(self) -> None:
        self.should_exit = True

    def stop_if_failed(self, task: "asyncio.Task[None]") -> None:
        """For a task without which there is nothing to serve."""
        if not task.cancelled() and task.exception():
            self.stop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In place of uvicorn's, which would raise the signal again at the end; ours stay for what follows."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGTERM, (lambda: None) if self._ignores_sigterm else self.stop)
        yield

    def _interrupt(self) -> None:
        if self.should_exit:
            self._cancel_all()
            self.force_exit = True
        self.stop()
