"""Everything that can die does, while predictions run and wait: each still ends exactly once, and is told of once.

These tests come last, because here the instance is broken again and again.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.acceptance.events import all_events, events_of, opened, outputs
from tests.instance import PREDICTORS, TERMINAL, Api, Instance, until
from tests.receiver import Receiver
from tests.servers import break_connections

ENDED_SECONDS = 15.0
GONE_SECONDS = 10.0
WAITING = 10
COUNTED = "1 2 3 4 5 6 7 8 9 10 "


@pytest.fixture(autouse=True)
def started(instance: Instance) -> None:
    """Up again, if a test before has ended it; what was killed again and again is started after longer waits."""
    if not instance.is_up:
        instance.start()
    until(lambda: all(instance.processes(role) for role in ("api", "predict", "deliver")), seconds=60.0)


def create_many(instance: Instance, api: Api, receiver: Receiver) -> list[str]:
    """Predictions of which the first runs and the others wait."""
    model = instance.model("sleeps_in_c")
    wanted = {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
    ids = [api.create(model, more=wanted, seconds=seconds)["id"] for seconds in (1.0, *[0.2] * WAITING)]
    api.until_status(ids[0], "processing")
    assert statuses(api, ids) == ["processing"] + ["starting"] * WAITING
    return ids


def statuses(api: Api, ids: list[str]) -> list[str]:
    return [api.prediction(prediction_id)["status"] for prediction_id in ids]


def is_served(api: Api) -> bool:
    """Whether the API answers again; until then it says in so many words that it cannot."""
    answer = api.get("/predictions")
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


def assert_each_ends_once(api: Api, receiver: Receiver, ids: list[str], started: float) -> None:
    """All succeed, and all are told of, with one webhook id each, in the time that counts from `started`."""
    left = started + ENDED_SECONDS - time.monotonic()
    receiver.wait_for(lambda came: {delivery.json["id"] for delivery in came} >= set(ids), left)
    assert statuses(api, ids) == ["succeeded"] * len(ids)
    for prediction_id in ids:
        told = receiver.completed(prediction_id)
        assert {delivery.json["status"] for delivery in told} == {"succeeded"}
        assert len({delivery.headers["webhook-id"] for delivery in told}) == 1


def test_a_killed_model_process_fails_its_prediction_with_the_reason_and_the_next_one_runs(
    instance: Instance, api: Api
):
    model = instance.model("sleeps_in_c")
    prediction = api.create(model, seconds=60)
    api.until_status(prediction["id"], "processing")
    instance.model_process(model).kill()
    failed = api.until_status(prediction["id"], *TERMINAL)
    assert failed["status"] == "failed"
    assert "killed by signal 9" in failed["error"]
    assert api.create(model, wait=True, seconds=0)["output"] == "awake"


def test_a_killed_model_process_costs_the_prediction_it_ran_and_none_that_waited(
    instance: Instance, api: Api, receiver: Receiver
):
    ids = create_many(instance, api, receiver)
    began = time.monotonic()
    instance.model_process(instance.model("sleeps_in_c")).kill()
    receiver.wait_for(lambda came: {delivery.json["id"] for delivery in came} >= set(ids), ENDED_SECONDS)
    assert time.monotonic() - began < ENDED_SECONDS
    assert statuses(api, ids) == ["failed"] + ["succeeded"] * WAITING
    for prediction_id in ids:
        assert len({delivery.headers["webhook-id"] for delivery in receiver.completed(prediction_id)}) == 1


def test_a_killed_worker_takes_along_what_its_models_had_started(instance: Instance, api: Api):
    child = psutil.Process(api.create(instance.model("leaves_children"), wait=True)["output"])
    [worker] = instance.processes("predict")
    worker.kill()
    until(lambda: not child.is_running(), GONE_SECONDS)


def test_a_killed_worker_costs_no_prediction(instance: Instance, api: Api, receiver: Receiver):
    ids = create_many(instance, api, receiver)
    [worker] = instance.processes("predict")
    worker.kill()
    assert_each_ends_once(api, receiver, ids, time.monotonic())
    assert instance.processes("predict") != [worker]


def test_a_worker_that_wakes_after_it_was_taken_for_dead_is_not_heard(instance: Instance, api: Api):
    model = instance.model("tells_its_process")
    api.create(model, wait=True, seconds=0)
    [worker] = instance.processes("predict")
    prediction = api.create(model, seconds=3)
    first = api.until_status(prediction["id"], "processing")
    worker.suspend()
    try:
        with ThreadPoolExecutor() as pool, instance.another_worker():
            listening = pool.submit(all_events, prediction["urls"]["stream"])
            until(lambda: api.prediction(prediction["id"]).get("started_at", first["started_at"]) > first["started_at"])
            worker.resume()
            ended = api.until_status(prediction["id"], *TERMINAL)
            heard = listening.result()
    finally:
        worker.resume()
    assert ended["status"] == "succeeded"
    assert len(set(ended["output"])) == 1
    for events in (heard, all_events(prediction["urls"]["stream"])):
        assert outputs(events) == ended["output"]
        assert events[-1].data == "{}"


def test_a_killed_worker_costs_a_training_time_only(instance: Instance, api: Api, tmp_path: Path):
    name, _, version_id = instance.model("learns").partition(":")
    instance.push(PREDICTORS / "echo", "pinion/tuned-twice")
    gate = tmp_path / "gate"
    body = {"destination": "pinion/tuned-twice", "input": {"word": "patience", "waits_for": str(gate)}}
    training = f"/trainings/{api.post(f'/models/{name}/versions/{version_id}/trainings', json=body).json()['id']}"
    until(lambda: "learning" in api.get(training).json()["logs"])
    [worker] = instance.processes("predict")
    worker.kill()
    gate.touch()
    done = until(lambda: (found := api.get(training).json())["status"] in TERMINAL and found, ENDED_SECONDS)
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert api.create("pinion/tuned-twice", wait=True)["output"] == "I learned patience"


def test_a_killed_sender_costs_no_webhook(instance: Instance, api: Api, receiver: Receiver):
    ids = create_many(instance, api, receiver)
    [sender] = instance.processes("deliver")
    sender.kill()
    assert_each_ends_once(api, receiver, ids, time.monotonic())


def test_what_a_killed_sender_was_delivering_is_sent_again_at_once(instance: Instance, api: Api, receiver: Receiver):
    receiver.may_answer.clear()
    wanted = {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
    prediction = api.create(instance.model("echo"), more=wanted, text="hello")
    receiver.wait_for(lambda came: len(came) == 1)
    [sender] = instance.processes("deliver")
    sender.kill()
    killed = time.monotonic()
    receiver.wait_for(lambda came: len(came) == 2, ENDED_SECONDS)
    receiver.may_answer.set()
    assert_each_ends_once(api, receiver, [prediction["id"]], killed)
    first, again, *_ = receiver.deliveries
    assert first.headers["webhook-id"] == again.headers["webhook-id"]


def test_a_worker_told_to_stop_lets_its_prediction_finish(instance: Instance, api: Api):
    prediction = api.create(instance.model("counts_slowly"), to=5, seconds=0.2)
    until(lambda: api.prediction(prediction["id"]).get("output"))
    [worker] = instance.processes("predict")
    worker.terminate()
    assert api.until_status(prediction["id"], *TERMINAL)["status"] == "succeeded"
    psutil.wait_procs([worker], GONE_SECONDS)
    until(lambda: instance.processes("predict"))


def test_a_cancel_that_the_worker_could_not_hear_is_done_when_the_worker_has_died(instance: Instance, api: Api):
    prediction = api.create(instance.model("counts_slowly"), to=100, seconds=0.3)
    api.until_status(prediction["id"], "processing")
    [worker] = instance.processes("predict")
    worker.suspend()
    assert api.post(f"/predictions/{prediction['id']}/cancel").json()["status"] == "processing"
    worker.kill()
    assert api.until_status(prediction["id"], *TERMINAL)["status"] == "canceled"


def test_a_prediction_whose_output_was_seen_is_not_run_again_after_its_worker_was_killed(instance: Instance, api: Api):
    prediction = api.create(instance.model("counts_slowly"), to=100, seconds=0.3)
    until(lambda: api.prediction(prediction["id"]).get("output"))
    [worker] = instance.processes("predict")
    worker.kill()
    failed = api.until_status(prediction["id"], *TERMINAL, seconds=ENDED_SECONDS)
    assert failed["status"] == "failed"
    assert "worker was lost" in failed["error"]
    assert failed["output"][0] == "1 "


def test_an_emptied_redis_costs_no_prediction(instance: Instance, api: Api, receiver: Receiver):
    ids = create_many(instance, api, receiver)
    with instance.redis() as redis:
        redis.flushdb()
    assert_each_ends_once(api, receiver, ids, time.monotonic())


def test_a_killed_valkey_is_started_again_and_costs_no_prediction(instance: Instance, api: Api, receiver: Receiver):
    if "REDIS_URL" in instance.settings:
        pytest.skip("only an embedded Valkey is ours to kill")
    ids = create_many(instance, api, receiver)
    [valkey] = instance.processes("valkey")
    valkey.kill()
    assert_each_ends_once(api, receiver, ids, time.monotonic())
    assert instance.processes("valkey") != [valkey]


def test_a_stream_goes_on_without_a_gap_when_redis_is_emptied(instance: Instance, api: Api):
    url = api.create(instance.model("counts_slowly"), to=10, seconds=0.1)["urls"]["stream"]
    with opened(url) as response, instance.redis() as redis:
        events = events_of(response.iter_bytes())
        first = next(events)
        redis.flushdb()
        assert "".join(outputs([first, *events])) == COUNTED
    assert "".join(outputs(all_events(url))) == COUNTED


def test_a_stream_goes_on_without_a_gap_when_valkey_is_killed(instance: Instance, api: Api):
    if "REDIS_URL" in instance.settings:
        pytest.skip("only an embedded Valkey is ours to kill")
    url = api.create(instance.model("counts_slowly"), to=10, seconds=0.1)["urls"]["stream"]
    with opened(url) as response:
        events = events_of(response.iter_bytes())
        first = next(events)
        [valkey] = instance.processes("valkey")
        valkey.kill()
        assert "".join(outputs([first, *events])) == COUNTED


def test_a_killed_api_costs_a_stream_only_a_reconnect(instance: Instance, api: Api):
    url = api.create(instance.model("counts_slowly"), to=10, seconds=0.1)["urls"]["stream"]
    [server] = instance.processes("api")
    with opened(url) as response:
        events = events_of(response.iter_bytes())
        seen = [next(events)]
        server.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            seen.extend(events)
    until(instance.answers, ENDED_SECONDS)
    assert "".join(outputs(seen + all_events(url, last_event_id=seen[-1].id))) == COUNTED


def test_broken_connections_to_postgres_cost_no_prediction(instance: Instance, api: Api, receiver: Receiver):
    if "DATABASE_URL" not in instance.settings:
        pytest.skip("SQLite has no connections that could break")
    ids = create_many(instance, api, receiver)
    break_connections(instance.settings["DATABASE_URL"])
    until(lambda: is_served(api))
    assert_each_ends_once(api, receiver, ids, time.monotonic())


def test_kill_of_up_leaves_no_process_behind_and_the_next_up_ends_what_was_begun(
    instance: Instance, api: Api, receiver: Receiver
):
    ids = create_many(instance, api, receiver)
    processes = instance.processes()
    instance.kill()
    assert_gone(processes)
    instance.start()
    with Api(instance) as again:
        assert_each_ends_once(again, receiver, ids, time.monotonic())


def test_sigterm_ends_everything_although_a_prediction_runs_and_is_followed(instance: Instance, api: Api):
    prediction = api.create(instance.model("counts_slowly"), to=300, seconds=0.2)
    with opened(prediction["urls"]["stream"]) as response:
        assert next(events_of(response.iter_bytes())).data == "1 "
        processes = [instance.up, *instance.processes()]
        assert len(processes) >= 6
        instance.up.terminate()
        assert instance.ended(2 * GONE_SECONDS) == 0  # the worker lets the prediction go on for a while
    assert_gone(processes, 0)


def assert_gone(processes: list[psutil.Process], seconds: float = GONE_SECONDS) -> None:
    _, left = psutil.wait_procs(processes, seconds)
    # One that nobody has collected yet is gone all the same.
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
