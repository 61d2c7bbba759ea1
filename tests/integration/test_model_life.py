"""The life of a model process under whatever its users do to it in any order, and over a thousand predictions.

Hypothesis makes up the order; a small model beside says what may come out.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.model_processes import PATIENCE_SECONDS, PREDICTORS, Heard, Start, is_running
from worker.events import Done
from worker.process import ModelProcess

PREDICTIONS = 1000
PREDICTORS_THAT_OBEY = ["does_as_told", "does_as_told_together"]


@dataclass
class Told:
    """A prediction, what it was told to do, and what befell it."""

    name: str
    what: str
    task: asyncio.Task[Done]
    heard: Heard = field(default_factory=Heard)
    is_canceled: bool = False
    is_bereft: bool = False  # its process was ended

    @property
    def possible(self) -> set[str]:
        """The statuses it may end with."""
        of_its_own = {"answer": {"succeeded"}, "fail": {"failed"}, "wait": set[str]()}[self.what]
        return of_its_own | ({"canceled"} if self.is_canceled else set()) | ({"failed"} if self.is_bereft else set())

    def check(self) -> None:
        done = self.task.result()
        assert done.status in self.possible
        assert done.output == (self.name if done.status == "succeeded" else None)
        first, _, rest = self.heard.logs.partition("\n")
        assert first in ("", self.name)
        assert not rest or (self.what == "fail" and rest.startswith("Traceback") and self.name in rest)


class Life(RuleBasedStateMachine):
    runner: asyncio.Runner  # one for all examples

    def __init__(self) -> None:
        super().__init__()
        self.process: ModelProcess | None = None
        self.told: list[Told] = []

    @property
    def pending(self) -> list[Told]:
        return [each for each in self.told if not each.task.done()]

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def has_seat(self) -> bool:
        return self.process is not None and len(self.pending) < self.process.concurrency

    @precondition(lambda self: not self.lives)
    @rule(predictor=st.sampled_from(PREDICTORS_THAT_OBEY))
    def start(self, predictor: str) -> None:
        self.runner.run(self._started(predictor))

    @precondition(lambda self: self.lives and self.has_seat)
    @rule(what=st.sampled_from(["answer", "answer", "fail", "wait"]))
    def predict(self, what: str) -> None:
        """As the seats of its users have it: no more at once than it says."""
        self.runner.run(self._told(what))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Also of what has ended, perhaps in a process before."""
        chosen = data.draw(st.sampled_from(self.told))
        chosen.is_canceled = True
        assert self.process is not None
        self.process.cancel(chosen.name)

    @precondition(lambda self: self.lives and all(each.what != "wait" or each.is_canceled for each in self.pending))
    @rule()
    def all_that_can_end_ends(self) -> None:
        self.runner.run(self._ended())
        assert self.lives

    @precondition(lambda self: self.lives)
    @rule()
    def the_model_says_that_it_is_well(self) -> None:
        assert self.process is not None
        assert self.runner.run(self.process.healthcheck()).is_well

    @precondition(lambda self: self.lives)
    @rule()
    def is_killed(self) -> None:
        assert self.process is not None
        self._bereave()
        os.kill(self.process._child.process.pid, signal.SIGKILL)
        self.runner.run(self._ended())
        self.runner.run(self.process.wait_closed())

    @precondition(lambda self: self.lives)
    @rule(grace=st.sampled_from([0.0, 0.05]))
    def is_stopped(self, grace: float) -> None:
        assert self.process is not None
        self._bereave()
        self.runner.run(self.process.stop(timedelta(seconds=grace)))
        self.runner.run(self._ended())
        assert not is_running(self.process._child.process.pid)

    @invariant()
    def what_has_ended_has_ended_rightly(self) -> None:
        self.runner.run(asyncio.sleep(0))
        for each in self.told:
            if each.task.done():
                each.check()

    def teardown(self) -> None:
        """Canceled, everything ends, and the process outlives it."""
        if self.process is not None:
            was_alive = self.lives
            for each in self.pending:
                each.is_canceled = True
                self.process.cancel(each.name)
            self.runner.run(self._ended())
            assert self.lives == was_alive
            self.runner.run(self.process.stop())
            for each in self.told:
                each.check()

    def _bereave(self) -> None:
        for each in self.pending:
            each.is_bereft = True

    async def _started(self, predictor: str) -> None:
        self.process = await ModelProcess.start(PREDICTORS / predictor)
        await self.process.ready()

    async def _told(self, what: str) -> None:
        assert self.process is not None
        name, heard = f"p{len(self.told)}", Heard()
        task = asyncio.create_task(self.process.predict(name, {"name": name, "what": what}, heard.take))
        self.told.append(Told(name, what, task, heard))
        await asyncio.sleep(0)  # it is sent

    async def _ended(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(each.task for each in self.pending))


@pytest.fixture
def life() -> Iterator[type[Life]]:
    with asyncio.Runner() as runner:
        Life.runner = runner
        yield Life


def test_whatever_is_done_to_a_process_each_prediction_ends_as_it_must(life: type[Life]):
    life.TestCase.settings = settings(
        max_examples=10,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate],  # add Phase.shrink to understand a failure: it takes minutes here
    )
    life.TestCase("runTest").runTest()


@pytest.mark.parametrize("predictor", PREDICTORS_THAT_OBEY)
async def test_a_thousand_predictions_leave_nothing_behind(start: Start, predictor: str):
    process = await start(predictor)
    await live_through(process, PREDICTIONS // 4)
    child, ourselves = psutil.Process(process._child.process.pid), psutil.Process()
    before = [used(each) for each in (child, ourselves)]
    await live_through(process, PREDICTIONS)
    after = [used(each) for each in (child, ourselves)]
    for (memory, descriptors), (memory_then, descriptors_then) in zip(before, after, strict=True):
        assert descriptors_then == descriptors
        assert memory_then - memory < 2_000_000
    assert child.num_threads() <= 2  # its own, and the one that hears us


async def live_through(process: ModelProcess, predictions: int) -> None:
    """Some of them fail, some are canceled, and now and then somebody asks how the model is."""
    for number in range(predictions):
        what = "wait" if number % 50 == 0 else "fail" if number % 10 == 0 else "answer"
        heard, given = Heard(), {"name": "p", "what": what, "password": "open sesame"}
        running = asyncio.create_task(process.predict(f"p{number}", given, heard.take))
        if what == "wait":
            await heard.until(lambda heard: bool(heard.logs))
            process.cancel(f"p{number}")
            assert (await process.healthcheck()).is_well
        done = await running
        assert done.status == {"wait": "canceled", "fail": "failed", "answer": "succeeded"}[what]
        assert done.predict_time is not None  # the model answered, it was not killed


def used(process: psutil.Process) -> tuple[int, int]:
    """Memory and descriptors, but for TCP: proxies that tests of faults have here are spoken to all the time."""
    gc.collect()
    while True:
        before, descriptors = _tcp(process), process.num_fds()
        if before == _tcp(process):
            return process.memory_info().rss, descriptors - before


def _tcp(process: psutil.Process) -> int:
    return len(process.net_connections("tcp"))
