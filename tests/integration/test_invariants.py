"""Each invariant holds of an installation that works, and is found broken by exactly what breaks it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import delete, insert

from shared import lifecycle
from shared.contract import Status
from shared.database import clock
from shared.invariants import INVARIANTS, Look, broken
from shared.lifecycle import Ending, Progress
from shared.queue import RedisPool, predict_queue
from shared.tables import Leadership, Prediction, StatusChange, Table, WebhookMessage, Worker
from tests.database_fixtures import Command, Rows

HOOK = "http://127.0.0.1:9/hook"
LONG_AGO = clock(-3600)
DAY = 86_400.0


async def swept(rows: Rows) -> None:
    """Somebody leads."""
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(Leadership).values(name="sweep", holder="somebody", until=clock(3600)))


async def worked(rows: Rows, name: str = "worker", **changes: Any) -> None:
    """A worker that lives, however long the test takes."""
    values = {"id": name, "host": "here", "is_lost": False, "last_seen": clock(300), "created_at": clock()}
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(Worker).values(**{**values, **changes}))


async def succeeded(rows: Rows) -> str:
    row = await rows.running(webhook=HOOK)
    ending = Ending(row, Status.SUCCEEDED, None, Progress(row.id, row.attempt, "done", "", {}), row.started_at)
    async with rows.database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending)
    return str(row.id)


async def changed(rows: Rows, prediction_id: str, **values: Any) -> str:
    await rows.change(Prediction, Prediction.id == prediction_id, **values)
    return prediction_id


async def noted(rows: Rows, prediction_id: str, **values: Any) -> str:
    """A step that never was."""
    step = {"prediction_id": prediction_id, "attempt": 1, "changed_at": clock(), **values}
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(StatusChange).values(**step))
    return prediction_id


async def removed(rows: Rows, table: type[Table], condition: Any) -> None:
    async with rows.database.transaction() as transaction:
        await transaction.execute(delete(table).where(condition))


async def lost_entry(rows: Rows) -> str:
    row = await rows.waiting()
    await rows.database.redis.zrem(predict_queue(rows.version_id), f"{row.id}:1")
    return await changed(rows, row.id, queued_at=LONG_AGO, created_at=LONG_AGO)


async def nobodys(rows: Rows) -> str:
    return await changed(rows, (await rows.running("nobody")).id, started_at=LONG_AGO, created_at=LONG_AGO)


async def dead_ones(rows: Rows) -> str:
    await worked(rows, "dead", is_lost=True, last_seen=LONG_AGO)
    return str((await rows.running("dead")).id)


async def overdue(rows: Rows) -> str:
    return await changed(rows, (await rows.waiting()).id, deadline=LONG_AGO)


async def uncanceled(rows: Rows) -> str:
    return await changed(rows, (await rows.running()).id, cancel_requested_at=LONG_AGO)


async def silent(rows: Rows) -> str:
    await worked(rows, "silent", last_seen=LONG_AGO)
    return "silent"


async def unswept(rows: Rows) -> str:
    await removed(rows, Leadership, Leadership.name == "sweep")
    return "nobody has for a while"


async def unknown_entry(rows: Rows) -> str:
    row = await rows.waiting()
    await removed(rows, StatusChange, StatusChange.prediction_id == row.id)
    await removed(rows, Prediction, Prediction.id == row.id)
    return str(row.id)


async def ended_twice(rows: Rows) -> str:
    return await noted(rows, await succeeded(rows), former="processing", status="succeeded", worker_id="worker")


async def overwritten(rows: Rows) -> str:
    return await changed(rows, await succeeded(rows), output="another")


async def leapt(rows: Rows) -> str:
    return await changed(rows, (await rows.waiting()).id, status="succeeded", completed_at=clock())


async def torn(rows: Rows) -> str:
    row = await rows.waiting()
    await noted(rows, row.id, former="processing", status="failed", attempt=0)
    return await changed(rows, row.id, status="failed", completed_at=clock())


async def reversed_moments(rows: Rows) -> str:
    return await changed(rows, (await rows.running()).id, started_at=LONG_AGO)


async def unmoved(rows: Rows) -> str:
    row = await rows.running()
    return await noted(rows, row.id, former="processing", status="starting")


async def skipped_attempt(rows: Rows) -> str:
    row = await rows.waiting()
    return await changed(rows, row.id, status="processing", attempt=2, worker_id="worker", started_at=clock())


async def anothers_result(rows: Rows) -> str:
    row = await rows.running()
    return await changed(rows, row.id, status="succeeded", worker_id="another", completed_at=clock())


async def vanished(rows: Rows) -> str:
    row = await rows.ended()
    await removed(rows, Prediction, Prediction.id == row.id)
    await rows.database.redis.delete(predict_queue(rows.version_id))
    return str(row.id)


async def untold(rows: Rows) -> str:
    prediction_id = await succeeded(rows)
    await removed(rows, WebhookMessage, WebhookMessage.prediction_id == prediction_id)
    return prediction_id


async def told_wrongly(rows: Rows) -> str:
    prediction_id = await succeeded(rows)
    [message] = [told for told in await rows.messages(prediction_id) if told.event == "completed"]
    body = message.body.replace(b'"succeeded"', b'"failed"')
    await rows.change(WebhookMessage, WebhookMessage.id == message.id, body=body)
    return str(message.id)


async def left_lying(rows: Rows) -> str:
    [*_, message] = await rows.messages(await succeeded(rows))
    await rows.change(WebhookMessage, WebhookMessage.id == message.id, next_attempt_at=LONG_AGO)
    return str(message.id)


ACCIDENTS: dict[str, Callable[[Rows], Awaitable[str]]] = {
    "waiting_predictions_are_queued": lost_entry,
    "running_predictions_have_a_living_worker": nobodys,
    "deadlines_are_kept": overdue,
    "cancels_take_effect": uncanceled,
    "silent_workers_are_taken_for_dead": silent,
    "somebody_sweeps": unswept,
    "entries_stand_for_predictions": unknown_entry,
    "predictions_end_once": ended_twice,
    "what_has_ended_stays": overwritten,
    "steps_are_allowed": leapt,
    "steps_follow_one_another": torn,
    "moments_are_in_order": reversed_moments,
    "rows_are_what_their_last_step_made_them": unmoved,
    "attempts_follow_one_another": skipped_attempt,
    "results_are_of_the_last_claim": anothers_result,
    "nothing_is_lost": vanished,
    "ends_are_owed": untold,
    "messages_say_how_it_ended": told_wrongly,
    "messages_are_not_overdue": left_lying,
}


def look(rows: Rows) -> Look:
    return Look(rows.database, DAY, lease_seconds=10.0, grace_seconds=15.0)


async def test_all_holds_while_predictions_wait_run_and_end(rows: Rows, redis: RedisPool) -> None:
    await swept(rows)
    await worked(rows)
    await rows.waiting()
    again = await rows.redelivered(await rows.running())
    await rows.claimed(again)
    await rows.ended(webhook=HOOK, shows_aborted=False)
    await succeeded(rows)
    assert await broken(look(rows)) == []


@pytest.mark.parametrize(("name", "accident"), ACCIDENTS.items(), ids=ACCIDENTS)
async def test_an_accident_is_found_by_its_invariant(
    rows: Rows, redis: RedisPool, name: str, accident: Callable[[Rows], Awaitable[str]]
) -> None:
    await swept(rows)
    await worked(rows)
    offender = await accident(rows)
    found = {each.invariant.find.__name__: list(each.ids) for each in await broken(look(rows))}
    assert found[name] == [offender]


async def test_a_worker_that_is_known_to_be_dead_runs_nothing(rows: Rows, redis: RedisPool) -> None:
    await swept(rows)
    offender = await dead_ones(rows)
    [found] = await broken(look(rows))
    assert list(found.ids) == [offender]


async def test_every_invariant_has_an_accident() -> None:
    assert {each.find.__name__ for each in INVARIANTS} == set(ACCIDENTS)


async def test_the_command_names_what_is_broken_and_fails(rows: Rows, redis: RedisPool, pinion: Command) -> None:
    await swept(rows)
    whole = await pinion("check")
    assert (whole.returncode, whole.stderr) == (0, "")
    offender = await changed(rows, (await rows.ended()).id, output="another")
    torn_apart = await pinion("check", "--since", "2h")
    assert torn_apart.returncode == 1
    assert f"not so: {offender}" in torn_apart.stdout
    assert torn_apart.stderr.startswith("pinion: 1 of 19 invariants do not hold")
    assert torn_apart.stderr.count("\n") == 1
