"""Ending side tasks for certain.

Nothing is started here.
"""

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.1


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
