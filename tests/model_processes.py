"""Real model processes on five-line predictors, and what a test hears of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from worker.events import Done, Event, Log, Output
from worker.process import ModelProcess

ROOT = Path(__file__).resolve().parents[1]
PREDICTORS = ROOT / "tests" / "predictors"
PATIENCE_SECONDS = 20
LIBRARIES_SECONDS = 180
"""Until torch and transformers are imported, on a busy machine."""

Start = Callable[..., Awaitable[ModelProcess]]


class Heard:
    """What a prediction has said so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def take(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    @property
    def items(self) -> list[Any]:
        return [event.value for event in self.events if isinstance(event, Output)]

    @property
    def logs(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))

    async def until(self, condition: Callable[["Heard"], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(self):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def starting() -> AsyncIterator[Start]:
    """A way to start processes that are ready, and their end."""
    processes: list[ModelProcess] = []

    async def start(predictor: str | Path, seconds: float = PATIENCE_SECONDS, **options: Any) -> ModelProcess:
        async with asyncio.timeout(seconds):
            process = await ModelProcess.start(PREDICTORS / predictor, **options)
            processes.append(process)
            await process.ready()
        return process

    yield start
    for process in processes:
        await process.stop(timedelta(0))


async def run(process: ModelProcess, heard: Heard | None = None, **given: Any) -> Done:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await process.predict("p1", given, (heard or Heard()).take)


async def answer(process: ModelProcess, what: str, at: str | Path = "") -> Any:
    """What `breaks_out` tells of an attempt."""
    done = await run(process, what=what, at=str(at))
    assert done.status == "succeeded", done
    return done.output


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  the state of a foreign process tells nobody when it changes
            await asyncio.sleep(0.01)


def content_of(file: str) -> bytes:
    return Path(file).read_bytes()


def listed(folder: Path) -> list[str]:
    return sorted(place.name for place in folder.iterdir())


def exists(place: str | Path) -> bool:
    return Path(place).exists()


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
