"""Several callers, one go: what gathers is handled together, and nobody pays for the trouble of another."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from worker.together import BATCH_MAX, Together


class Doubling:
    """Doubles numbers, a batch at a time, when it may; a negative one is beyond it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.has_begun, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.ask: Callable[[int], Awaitable[int]] = Together(self._double)

    async def _double(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        self.has_begun.set()
        await self.may_go_on.wait()
        if min(numbers) < 0:
            raise ValueError("-1 cannot be doubled")
        return [2 * number for number in numbers]

    async def asked(self, *numbers: int) -> list["asyncio.Task[int]"]:
        """Tasks that have all asked, while the first number's batch is under way."""
        tasks = [asyncio.ensure_future(self.ask(number)) for number in numbers]
        await self.has_begun.wait()
        await asyncio.sleep(0)  # each has had its turn
        return tasks


@pytest.fixture
async def doubling() -> Doubling:
    return Doubling()


async def test_alone_a_request_is_handled_at_once(doubling: Doubling) -> None:
    doubling.may_go_on.set()
    assert await doubling.ask(1) == 2
    assert await doubling.ask(2) == 4
    assert doubling.batches == [[1], [2]]


async def test_what_gathers_meanwhile_is_handled_in_one_go_and_answered_in_order(doubling: Doubling) -> None:
    [first] = await doubling.asked(1)
    rest = await doubling.asked(2, 3, 4)
    doubling.may_go_on.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert doubling.batches == [[1], [2, 3, 4]]


async def test_a_batch_has_a_limit_and_nobody_is_left_over(doubling: Doubling) -> None:
    [first] = await doubling.asked(0)
    rest = await doubling.asked(*range(1, 2 * BATCH_MAX + 2))
    doubling.may_go_on.set()
    assert await asyncio.gather(first, *rest) == [2 * number for number in range(2 * BATCH_MAX + 2)]
    assert [len(batch) for batch in doubling.batches] == [1, BATCH_MAX, BATCH_MAX, 1]


async def test_a_batch_that_fails_is_tried_one_by_one(doubling: Doubling) -> None:
    [first] = await doubling.asked(1)
    rest = await doubling.asked(2, -1, 3)
    doubling.may_go_on.set()
    answers = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["2", "4", "-1 cannot be doubled", "6"]
    assert doubling.batches == [[1], [2, -1, 3], [2], [-1], [3]]


async def test_alone_a_failure_goes_to_its_caller_and_is_not_tried_again(doubling: Doubling) -> None:
    doubling.may_go_on.set()
    with pytest.raises(ValueError, match="-1"):
        await doubling.ask(-1)
    assert doubling.batches == [[-1]]
    assert await doubling.ask(1) == 2


async def test_a_handler_that_answers_too_few_leaves_nobody_waiting() -> None:
    async def answer_nobody(numbers: list[int]) -> list[int]:
        return []

    ask: Together[int, int] = Together(answer_nobody)
    answers = await asyncio.gather(ask(1), ask(2), ask(3), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3


async def test_a_caller_that_is_canceled_harms_nobody(doubling: Doubling) -> None:
    [first] = await doubling.asked(1)
    second, third = await doubling.asked(2, 3)
    first.cancel()
    second.cancel()
    doubling.may_go_on.set()
    assert await third == 6
    assert await doubling.ask(4) == 8
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2


async def test_a_canceled_caller_whose_batch_fails_harms_nobody_either(doubling: Doubling) -> None:
    [first] = await doubling.asked(-1)
    second, third = await doubling.asked(-1, 3)
    first.cancel()
    second.cancel()
    doubling.may_go_on.set()
    assert await third == 6
    await asyncio.gather(first, second, return_exceptions=True)
