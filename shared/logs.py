"""How every process writes its own log lines: structured, one event a line.

Inputs, outputs, tokens and secrets are never handed to it.
"""

import logging
import sys
from contextlib import suppress

import structlog


class Unfailing:
    """Standard error for log lines: one that cannot be written, as on a full disk, is lost and harms nobody."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(service: str) -> None:
    """Colours on a terminal, JSON lines elsewhere; `service` is bound to every line."""
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(Unfailing()),  # type: ignore[arg-type]  # all it needs of a file,
    )
    structlog.contextvars.bind_contextvars(service=service)
