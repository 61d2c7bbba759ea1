"""What goes on beside the work: a log that cannot be written harms nobody, a side task that fails is noticed."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.tasks import end, start

PROJECT = Path(__file__).resolve().parents[2]


def test_a_log_line_that_does_not_fit_on_the_disk_is_lost_and_nothing_else_is() -> None:
    program = """
        import structlog
        from shared import logs

        logs.configure("test")
        for _ in range(3):
            structlog.get_logger().error("no room", exc_info=ValueError("said"))
        print("still here")
    """
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "if True:" + program],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert done.stdout == "still here\n"


async def test_a_side_task_that_fails_tells_its_process_to_stop() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    try:

        async def break_down() -> None:
            raise ValueError("unforeseen")

        task = start(break_down())
        async with asyncio.timeout(5):
            await told.wait()
        with pytest.raises(ValueError, match="unforeseen"):
            await task
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_a_side_task_that_is_ended_tells_nobody() -> None:
    task = start(asyncio.Event().wait())  # type: ignore[arg-type]
    await end(task)
    assert task.cancelled()
