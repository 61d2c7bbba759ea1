"""A thread that a prediction starts, and what it hands to a pool of threads, belong to that prediction.

What belonging means is a matter of context variables: what is printed there, its scope, its cancel.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Callable

_CONTEXT = "_pinion_context"


def install() -> None:
    """For threads that are started from now on, in the whole process."""
    start, submit, excepthook = threading.Thread.start, ThreadPoolExecutor.submit, threading.excepthook

    def start_in_context(thread: threading.Thread) -> None:
        context = copy_context()
        thread.__dict__[_CONTEXT] = context
        thread.__dict__["run"] = partial(context.run, thread.run)
        start(thread)

    def submit_in_context(
        pool: ThreadPoolExecutor, function: Callable[..., Any], *given: Any, **named: Any
    ) -> Future[Any]:
        return submit(pool, copy_context().run, function, *given, **named)

    def tell_in_context(failure: threading.ExceptHookArgs) -> None:
        context: Context = getattr(failure.thread, _CONTEXT, None) or copy_context()
        context.run(excepthook, failure)

    threading.Thread.start = start_in_context  # type: ignore[assignment, method-assign]
    ThreadPoolExecutor.submit = submit_in_context  # type: ignore[assignment, method-assign]
    threading.excepthook = tell_in_context
