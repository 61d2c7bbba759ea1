"""What a model brings forth gets out: to the stream at once, to the row now and then, and all of it at the end."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import Row
from structlog.testing import capture_logs

from shared.contract import Status, WebhookEvent
from shared.database import Database
from shared.live import Chunk, Chunks, Feed, replay
from shared.queue import RedisPool
from shared.settings import Settings
from tests.database_fixtures import Backend, Rows, outage, until
from worker.events import Done, Log, Metric, Output
from worker.ledger import Ledger
from worker.presence import Presence
from worker.recorder import Recorder

HOOK = "http://127.0.0.1:9/hook"
NEVER = 1e9
SUCCEEDED = Done("succeeded", predict_time=0.25)


@pytest_asyncio.fixture
async def ledger(settings: Settings, database: Database, feed: Feed) -> Ledger:
    presence = Presence(settings, database, feed, lambda _: None, lambda _: None, dict)
    presence.id = "worker"
    return Ledger(database, presence)


class Recording:
    """Starts recorders for one test, and knows whether one was told that its attempt is lost."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self.lost = 0

    def of(self, row: Row[Any], interval: float = NEVER) -> Recorder:
        return Recorder(self._ledger, row, interval, self._lose)

    def _lose(self) -> None:
        self.lost += 1


@pytest.fixture
def recording(database: Database, ledger: Ledger) -> Recording:
    return Recording(database, ledger)


def outputs(chunks: list[Chunk]) -> list[Any]:
    return [value for chunk in chunks for value in chunk.values]


async def test_output_is_in_the_stream_before_it_is_in_the_row(
    redis: RedisPool, rows: Rows, recording: Recording
) -> None:
    row = await rows.running(streams=True)
    recorder = recording.of(row)
    recorder.take(Output("a"))
    recorder.take(Output("b"))
    chunks = await until(lambda: replay(redis, row.id))
    assert outputs(chunks) == ["a", "b"]
    assert (await rows.prediction(row.id)).output is None
    await recorder.finish(SUCCEEDED)


async def test_what_several_bring_forth_goes_out_together(
    database: Database, redis: RedisPool, rows: Rows, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = [await rows.running(streams=True) for _ in range(8)]
    recorders = [recording.of(row, interval=0.2) for row in running]
    for recorder in recorders:
        recorder.take(Output("a"))
    await until(lambda: _said(redis, running, "a"))
    sent, saved = list[Chunks](), []
    send, transaction = database.send, database.transaction
    monkeypatch.setattr(database, "send", lambda outbox: sent.extend(outbox) or send(outbox))
    monkeypatch.setattr(database, "transaction", lambda: saved.append(1) or transaction())
    for recorder in recorders:
        recorder.take(Output("b"))
    await until(lambda: _said(redis, running, "b"))
    await until(lambda: _have(rows, running, ["a", "b"]))
    assert len(sent) < 8
    assert sum(len(each.chunks) for each in sent) == 8
    assert len(saved) < 8
    for recorder in recorders:
        await recorder.finish(SUCCEEDED)


async def test_an_item_that_cannot_be_told_is_missing_in_its_own_stream_alone(
    redis: RedisPool, rows: Rows, recording: Recording
) -> None:
    running = [await rows.running(streams=True) for _ in range(2)]
    broken, whole = (recording.of(row) for row in running)
    with capture_logs() as logs:
        broken.take(Output("\ud800"))
        whole.take(Output("a"))
        whole.take(Output("b"))
        await whole.finish(SUCCEEDED)
    assert outputs(await replay(redis, running[1].id)) == ["a", "b"]
    assert [log["event"] for log in logs] == ["output not told"] * 2


async def _said(redis: RedisPool, running: list[Row[Any]], last: str) -> bool:
    return all([outputs(await replay(redis, row.id))[-1:] == [last] for row in running])


async def _have(rows: Rows, running: list[Row[Any]], output: list[str]) -> bool:
    return all([(await rows.prediction(row.id)).output == output for row in running])


async def test_the_row_has_what_came_so_far_after_every_interval(rows: Rows, recording: Recording) -> None:
    row = await rows.running(streams=True)
    recorder = recording.of(row, interval=0.01)
    recorder.take(Output("a"))
    recorder.take(Metric("tokens", 1, "replace"))
    recorder.take(Log("one\n"))
    kept = await until(lambda: _saved(rows, row.id, "one\n"))
    assert (kept.status, kept.output, kept.metrics) == (Status.PROCESSING, ["a"], {"tokens": 1})
    recorder.take(Output("b"))
    recorder.take(Log("two\n"))
    kept = await until(lambda: _saved(rows, row.id, "one\ntwo\n"))
    assert kept.output == ["a", "b"]
    await recorder.finish(SUCCEEDED)


async def _saved(rows: Rows, prediction_id: str, logs: str) -> Any:
    row = await rows.prediction(prediction_id)
    return row if row.logs == logs else None


async def test_the_end_writes_everything_that_is_not_out_yet(
    redis: RedisPool, rows: Rows, recording: Recording
) -> None:
    row = await rows.running(streams=True)
    recorder = recording.of(row)
    for number in range(500):
        recorder.take(Output(str(number)))
    recorder.take(Log("all\n"))
    recorder.take(Metric("tokens", 500, "replace"))
    await recorder.finish(SUCCEEDED)
    ended, everything = await rows.prediction(row.id), [str(number) for number in range(500)]
    assert (ended.status, ended.output, ended.logs) == (Status.SUCCEEDED, everything, "all\n")
    assert ended.metrics == {"tokens": 500, "predict_time": 0.25}
    chunks = await replay(redis, row.id)
    assert outputs(chunks) == everything
    assert [chunk.finished for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(after.start == before.end for before, after in pairwise(chunks))


async def test_the_stream_ends_only_once_the_row_is_terminal(
    redis: RedisPool, rows: Rows, feed: Feed, recording: Recording
) -> None:
    row = await rows.running(streams=True)

    async def status_at_the_end() -> str:
        async with feed.follow(f"pinion:live:{row.id}") as heard:
            listens.set()
            while not msgspec.json.decode(await heard.get(), type=Chunk).finished:
                pass
            return str((await rows.prediction(row.id)).status)

    listens = asyncio.Event()
    following = asyncio.create_task(status_at_the_end())
    await listens.wait()
    recorder = recording.of(row)
    recorder.take(Output("a"))
    await recorder.finish(SUCCEEDED)
    assert await following == Status.SUCCEEDED


async def test_a_model_that_is_no_iterator_has_its_value_at_the_end(rows: Rows, recording: Recording) -> None:
    row = await rows.running()
    recorder = recording.of(row)
    recorder.take(Log("thinking\n"))
    await recorder.finish(Done("succeeded", output={"answer": 42}, predict_time=1.0))
    assert (await rows.prediction(row.id)).output == {"answer": 42}


@pytest.mark.parametrize(
    ("streams", "done", "output"),
    [
        (True, Done("succeeded"), []),
        (True, Done("failed", error="It broke."), None),
        (True, Done("canceled"), None),
        (False, Done("succeeded"), None),
        (False, Done("failed", error="It broke."), None),
    ],
)
async def test_an_end_without_any_event_is_written_too(
    rows: Rows, recording: Recording, streams: bool, done: Done, output: Any
) -> None:
    row = await rows.running(streams=streams)
    await recording.of(row).finish(done)
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.output, ended.error) == (done.status, output, done.error)


async def test_a_canceled_stream_keeps_what_it_has(rows: Rows, recording: Recording) -> None:
    row = await rows.running(streams=True)
    recorder = recording.of(row)
    recorder.take(Output("half"))
    await recorder.finish(Done("canceled", predict_time=0.1))
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.output) == (Status.CANCELED, ["half"])


@pytest.mark.parametrize(
    ("metrics", "kept"),
    [
        ([("n", 1, "replace"), ("n", 2, "replace")], {"n": 2}),
        ([("n", 1, "incr"), ("n", 2.5, "incr")], {"n": 3.5}),
        ([("n", "a", "append"), ("n", "b", "append")], {"n": ["a", "b"]}),
        ([("n", "a", "replace"), ("n", 1, "incr")], {"n": 1}),
        ([("n", 1, "replace"), ("n", None, "replace")], {}),
        ([("n", None, "replace")], {}),
    ],
)
async def test_metrics_are_replaced_added_up_collected_and_deleted(
    rows: Rows, recording: Recording, metrics: list[tuple[str, Any, str]], kept: dict[str, Any]
) -> None:
    row = await rows.running()
    recorder = recording.of(row)
    for name, value, mode in metrics:
        recorder.take(Metric(name, value, mode))
    await recorder.finish(Done("succeeded"))
    assert (await rows.prediction(row.id)).metrics == kept


async def test_an_attempt_that_lost_its_lease_is_told_so_and_writes_nothing(rows: Rows, recording: Recording) -> None:
    old = await rows.running()
    recorder = recording.of(old, interval=0.01)
    current = await rows.claimed(await rows.redelivered(old), "other")
    recorder.take(Log("too late\n"))
    await until(lambda: recording.lost)
    with capture_logs() as logs:
        await recorder.finish(Done("succeeded", output="too late"))
    assert await rows.prediction(old.id) == current
    assert "result discarded: not ours any more" in [entry["event"] for entry in logs]


async def test_an_attempt_that_keeps_its_lease_is_not_told_that_it_lost_it(rows: Rows, recording: Recording) -> None:
    row = await rows.running()
    recorder = recording.of(row, interval=0.005)
    for number in range(5):
        recorder.take(Log(f"{number}"))
        await until(lambda number=number: _saved(rows, row.id, "".join(map(str, range(number + 1)))))
    await recorder.finish(SUCCEEDED)
    assert recording.lost == 0


async def snapshots(rows: Rows, prediction_id: str) -> list[str]:
    events = [message.event for message in await rows.messages(prediction_id)]
    return [event for event in events if event not in ("start", "completed")]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (tuple(WebhookEvent), "output"),
        ((WebhookEvent.OUTPUT,), "output"),
        ((WebhookEvent.LOGS,), "logs"),
        ((WebhookEvent.LOGS, WebhookEvent.COMPLETED), "logs"),
    ],
)
async def test_output_and_logs_of_one_interval_are_told_to_whoever_wants_either(
    rows: Rows, recording: Recording, wanted: tuple[WebhookEvent, ...], told: str
) -> None:
    row = await rows.running(streams=True, webhook=HOOK, webhook_events=wanted)
    recorder = recording.of(row, interval=0.01)
    recorder.take(Log("one\n"))
    recorder.take(Output("a"))
    await until(lambda: _saved(rows, row.id, "one\n"))
    assert await snapshots(rows, row.id) == [told]
    await recorder.finish(SUCCEEDED)


async def test_webhooks_of_a_run_come_in_order_and_end_with_completed(rows: Rows, recording: Recording) -> None:
    row = await rows.running(streams=True, webhook=HOOK)
    recorder = recording.of(row, interval=0.01)
    recorder.take(Output("a"))
    await until(lambda: snapshots(rows, row.id))
    await recorder.finish(SUCCEEDED)
    messages = await rows.messages(row.id)
    assert [message.event for message in messages] == ["start", "completed"]  # what nobody has sent has given way
    assert msgspec.json.decode(messages[-1].body)["output"] == ["a"]


async def test_without_an_interval_the_loop_still_has_time_for_others(rows: Rows, recording: Recording) -> None:
    row = await rows.running(streams=True)
    recorder = recording.of(row, interval=0.0)
    recorder.take(Output("a"))
    recorder.take(Log("one\n"))
    await until(lambda: _saved(rows, row.id, "one\n"))
    await recorder.finish(SUCCEEDED)
    assert (await rows.prediction(row.id)).status == Status.SUCCEEDED


async def test_a_result_outlasts_an_outage_of_the_database(servers: Backend, rows: Rows, recording: Recording) -> None:
    row = await rows.running(streams=True, webhook=HOOK)
    recorder = recording.of(row)
    recorder.take(Output("precious"))
    with capture_logs() as logs:
        async with outage(servers):
            finishing = asyncio.create_task(recorder.finish(SUCCEEDED))
            # Where writers queue for a lock nothing fails, so nothing is said either.
            await until(lambda: servers.name == "embedded" or _trying_again(logs))
            assert not finishing.done()
        await finishing
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.output) == (Status.SUCCEEDED, ["precious"])
    assert [message.event for message in await rows.messages(row.id)] == ["start", "completed"]


def _trying_again(logs: Sequence[Any]) -> bool:
    return any(entry["event"] == "database unreachable, trying again" for entry in logs)


async def test_an_outage_in_the_middle_of_a_run_costs_nothing(
    servers: Backend, rows: Rows, recording: Recording
) -> None:
    row = await rows.running(streams=True)
    recorder = recording.of(row, interval=0.01)
    with capture_logs() as logs:
        async with outage(servers):
            recorder.take(Output("a"))
            await until(lambda: servers.name == "embedded" or _not_saved(logs))
        recorder.take(Output("b"))
        recorder.take(Log("end\n"))
        await until(lambda: _saved(rows, row.id, "end\n"))
    await recorder.finish(SUCCEEDED)
    assert (await rows.prediction(row.id)).output == ["a", "b"]
    assert recording.lost == 0


def _not_saved(logs: Sequence[Any]) -> bool:
    return any(entry["event"] == "progress not saved" for entry in logs)


async def test_a_second_ending_of_an_attempt_counts_for_nothing(
    rows: Rows, ledger: Ledger, recording: Recording
) -> None:
    row = await rows.running(webhook=HOOK)
    recorder = recording.of(row)
    await recorder.finish(Done("succeeded", output="first"))
    ended, owed = await rows.prediction(row.id), await rows.messages(row.id)
    await recorder.finish(Done("failed", error="second"))
    assert await rows.prediction(row.id) == ended
    assert await rows.messages(row.id) == owed


async def test_endings_written_together_all_count(rows: Rows, recording: Recording) -> None:
    started = [await rows.running(webhook=HOOK if number % 2 else None) for number in range(20)]
    await asyncio.gather(*(recording.of(row).finish(Done("succeeded", output=row.id)) for row in started))
    for number, row in enumerate(started):
        ended = await rows.prediction(row.id)
        assert (ended.status, ended.output) == (Status.SUCCEEDED, row.id)
        assert len(await rows.messages(row.id)) == (2 if number % 2 else 0)


async def test_claims_made_together_are_each_answered_with_their_own_row(rows: Rows, ledger: Ledger) -> None:
    waiting = [await rows.waiting() for _ in range(20)]
    gone = await rows.ended()
    wanted = [*((row.id, 1) for row in waiting), (gone.id, 1), (waiting[0].id, 2)]
    *claimed, canceled, stale = await asyncio.gather(*(ledger.claim(*key) for key in wanted))
    assert [row.id for row in claimed] == [row.id for row in waiting]
    assert {row.worker_id for row in claimed} == {"worker"}
    assert (canceled, stale) == (None, None)
