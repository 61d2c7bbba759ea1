"""Turns of those who write to a database that has one writer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from shared.write_turn import WriteTurn
from tests.database_fixtures import until

Opener = Callable[[], WriteTurn]


@pytest.fixture
async def another_process(tmp_path: Path) -> AsyncIterator[Opener]:
    """Makes turns that know of each other no more than processes do: by the files alone."""
    opened: list[WriteTurn] = []

    def open_one() -> WriteTurn:
        opened.append(WriteTurn(tmp_path / "a.db"))
        return opened[-1]

    yield open_one
    for turn in opened:
        turn.close()


async def written(turn: WriteTurn, who: str, order: list[str], *, can_wait: bool = False) -> None:
    async with turn.in_process(can_wait=can_wait), turn.among_processes():
        await asyncio.sleep(0)
        order.append(who)


async def test_one_writes_at_a_time_of_a_process_and_of_all(another_process: Opener) -> None:
    turns = [another_process() for _ in range(3)]
    writing = 0

    async def write(turn: WriteTurn) -> None:
        nonlocal writing
        async with turn.in_process(can_wait=False), turn.among_processes():
            writing += 1
            await asyncio.sleep(0.001)
            assert writing == 1
            writing -= 1

    await asyncio.gather(*(write(turn) for turn in turns * 10))


async def test_what_can_wait_lets_the_others_pass_and_has_its_turn_all_the_same(another_process: Opener) -> None:
    turn, order = another_process(), list[str]()
    async with asyncio.TaskGroup() as group, turn.in_process(can_wait=False):
        for _ in range(20):
            group.create_task(written(turn, "can wait", order, can_wait=True))
        await asyncio.sleep(0)
        for _ in range(5):
            group.create_task(written(turn, "urgent", order))
        await asyncio.sleep(0)
    assert order == ["can wait", *["urgent"] * 5, *["can wait"] * 19]


async def test_a_process_that_writes_without_a_pause_keeps_no_other_out(another_process: Opener) -> None:
    busy, other = another_process(), another_process()
    order: list[str] = []

    async def write_on() -> None:
        while "other" not in order:
            async with busy.in_process(can_wait=False), busy.among_processes():
                sleep(0.005)  # noqa: ASYNC251 -- of the thread's own loop
                order.append("busy")

    writing_on = asyncio.create_task(asyncio.to_thread(asyncio.run, write_on()))
    try:
        await until(lambda: order)
        before = len(order)
        await written(other, "other", order)
    finally:
        order.append("other")
        await writing_on
    assert order.index("other") - before <= 3


async def test_a_process_that_was_stopped_in_its_turn_holds_up_the_others_once(another_process: Opener) -> None:
    stopped, other = another_process(), another_process()
    order: list[str] = []
    async with stopped.among_processes():
        begin = monotonic()
        await written(other, "other", order)
        assert monotonic() - begin > 0.25
        begin = monotonic()
        for _ in range(50):
            await written(other, "other", order)
        assert monotonic() - begin < 50 * 0.25, "each of them waited"
    assert order == ["other"] * 51


async def test_where_the_files_are_out_of_reach_everything_is_written_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.db-turn").mkdir()
    turn, order = WriteTurn(tmp_path / "a.db"), list[str]()
    await asyncio.gather(*(written(turn, "one", order) for _ in range(3)))
    turn.close()
    WriteTurn(tmp_path / "nowhere" / "a.db").close()
    assert order == ["one"] * 3
    assert not (tmp_path / "nowhere").exists()


async def test_who_gives_up_waiting_leaves_the_turn_to_others(
    another_process: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.write_turn._STEP_IN_SECONDS", 3600)
    one, other = another_process(), another_process()
    order: list[str] = []
    async with one.among_processes():
        waiting = [asyncio.create_task(written(other, "never", order, can_wait=can_wait)) for can_wait in (True, False)]
        await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(30):
        await written(one, "one", order)
        await written(other, "other", order)
    assert order == ["one", "other"]
