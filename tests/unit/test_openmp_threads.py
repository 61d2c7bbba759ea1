"""What OpenMP keeps for a thread that has nothing to compute is gone: beside it a step of the engine is slower."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from transformers.generation.streamers import BaseStreamer

from tests.instance import until
from tests.interception_fixtures import intercepted  # noqa: F401
from tests.text_models import made  # first: it finds the runtime

from pinion_generate import interception  # isort: skip
from pinion_generate.openmp import give_back_threads  # isort: skip
from pinion_runtime.control import Prediction, current  # isort: skip

PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def two_at_once() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def kept() -> set[str]:
    """Those that OpenMP has started for the calling thread, which had none before it computed."""
    before = threads()
    torch.set_num_threads(2)  # counts for the calling thread
    large = torch.ones(512, 512)
    large @ large
    started = threads() - before
    assert started
    return started


def gone(those: set[str]) -> bool:
    return until(lambda: those.isdisjoint(threads()))


def in_a_thread(function: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert failed == []


def test_a_thread_gives_back_those_kept_for_it_and_gets_others_when_it_computes_again():
    def compute() -> None:
        mine = kept()
        in_a_thread(give_back_threads)
        assert mine <= threads()
        give_back_threads()
        assert gone(mine)
        give_back_threads()
        assert kept()

    in_a_thread(compute)


def test_a_forked_child_does_not_wait_for_threads_it_does_not_have():
    def compute() -> None:
        kept()
        child = os.fork()
        if child == 0:
            give_back_threads()
            os._exit(7)
        try:
            _, status = until(lambda: ended if (ended := os.waitpid(child, os.WNOHANG))[0] else None)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        assert os.waitstatus_to_exitcode(status) == 7

    in_a_thread(compute)


def test_who_has_set_a_model_up_keeps_none():
    def set_up() -> None:
        mine = kept()
        interception.intercept([made("llama")], print)
        assert gone(mine)

    in_a_thread(set_up)


def test_who_waits_for_an_answer_keeps_none():
    model = made("llama")

    class Looking(BaseStreamer):  # type: ignore[misc]
        def put(self, value: torch.Tensor) -> None:
            assert gone(mine)

        def end(self) -> None:
            ended.append(True)

    ended: list[bool] = []
    mine: set[str] = set()

    def predict() -> None:
        current.set(Prediction("p", {}))
        mine.update(kept())
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4, streamer=Looking())

    in_a_thread(predict)
    assert ended
