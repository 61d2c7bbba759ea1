"""Side tasks: started so that their failure is noticed, and ended for certain.

What they do is not known here.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

_AGAIN_SECONDS = 0.1


def start(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task the process cannot do without: if it fails, the process is told to stop, and is started again."""
    task = asyncio.create_task(work)
    task.add_done_callback(_stop_if_failed)
    return task


def _stop_if_failed(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        import structlog  # not before it is needed: `pinion serve` has to start quickly

        structlog.get_logger().critical("side task failed, stopping", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until they have ended; how they ended is dropped.

    Once is not enough: redis-py loses a cancel that meets one of its own timeouts.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
