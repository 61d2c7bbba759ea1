"""What waits at the same time is answered together if it is alike, and one that fails fails alone."""

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

from pinion_huggingface.gathering import Gathering


class Doubling:
    """Doubles numbers; the first pass waits until it may go on. 13 brings bad luck."""

    def __init__(self) -> None:
        self.passes: list[tuple[list[int], Any]] = []
        self.may_go_on = threading.Event()

    def __call__(self, numbers: list[int], common: Any) -> list[int]:
        self.passes.append((numbers, common))
        self.may_go_on.wait(timeout=30)
        if 13 in numbers:
            raise ValueError("13 is not doubled")
        return [2 * number for number in numbers]


async def asked(gathering: Gathering, *parts: tuple[int, int, Any]) -> list["asyncio.Task[Any]"]:
    tasks = [asyncio.create_task(gathering.answer(*part)) for part in parts]
    await asyncio.sleep(0)  # each has begun then
    return tasks


async def test_what_gathers_during_a_pass_is_answered_together_by_kind_and_length() -> None:
    doubling = Doubling()
    gathering = Gathering(doubling)
    first = await asked(gathering, (1, 5, "a"))
    rest = await asked(gathering, (2, 5, "a"), (3, 9, "a"), (4, 5, "b"), (5, 7, "a"), (6, 15, "a"))
    doubling.may_go_on.set()
    assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8, 10, 12]
    assert doubling.passes == [([1], "a"), ([2, 5], "a"), ([3, 6], "a"), ([4], "b")]


async def test_one_that_fails_costs_nobody_else_the_answer() -> None:
    doubling = Doubling()
    gathering = Gathering(doubling)
    doubling.may_go_on.set()
    answers = await asyncio.gather(*(gathering.answer(number, 1) for number in (12, 13, 14)), return_exceptions=True)
    assert (answers[0], str(answers[1]), answers[2]) == (24, "13 is not doubled", 28)


async def test_one_that_is_canceled_is_left_out_and_the_others_are_answered() -> None:
    doubling = Doubling()
    gathering = Gathering(doubling)
    first = await asked(gathering, (1, 5, None))
    canceled, other = await asked(gathering, (2, 5, None), (3, 5, None))
    canceled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await canceled
    doubling.may_go_on.set()
    assert await asyncio.gather(*first, other) == [2, 6]
    assert doubling.passes == [([1], None), ([3], None)]


async def test_a_pass_is_bounded_in_parts_and_in_size() -> None:
    doubling = Doubling()
    gathering = Gathering(doubling)
    doubling.may_go_on.set()
    await asyncio.gather(*(gathering.answer(number, 1) for number in range(100, 230)))
    await asyncio.gather(*(gathering.answer(number, 10_000) for number in range(100, 105)))
    await gathering.answer(100, 1_000_000)
    assert [len(numbers) for numbers, _ in doubling.passes] == [64, 64, 2, 3, 2, 1]
