"""What runs where, as clients and Prometheus see it: real workers, real model processes, and rows of dead ones."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from shared import lifecycle
from shared.contract import Kind
from shared.contract import Worker as WorkerShape
from shared.database import Database, clock
from shared.ids import new_id
from shared.settings import Settings
from shared.tables import Model, Version, Worker
from tests.database_fixtures import Rows, until
from tests.host import Host, installed

OTHER_TOKEN = "r8_" + "o" * 37


@pytest_asyncio.fixture
async def alive(host: Host, client: httpx.AsyncClient) -> AsyncIterator[Host]:
    """A host whose worker is known as alive."""
    host.settings.heartbeat_seconds = 0.02
    host.presence.id = ""
    async with host.presence.announced():
        yield host


async def workers(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/v1/workers")
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    for shown in results:
        WorkerShape.model_validate(shown)
    return results


async def held(client: httpx.AsyncClient, state: str) -> dict[str, Any]:
    """The first model held, once it is in this state."""

    async def found() -> dict[str, Any] | None:
        models = [model for worker in await workers(client) for model in worker["models"]]
        return models[0] if models and models[0]["state"] == state else None

    shown: dict[str, Any] = await until(found)
    return shown


class Figures(dict[tuple[str, frozenset[str]], float]):
    """Values by name and the values of their labels."""

    def of(self, name: str, *labels: str) -> float:
        return self[name, frozenset(labels)]


async def figures(client: httpx.AsyncClient) -> Figures:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples]
    return Figures({(sample.name, frozenset(sample.labels.values())): sample.value for sample in samples})


async def add_worker(database: Database, **changes: Any) -> str:
    row = {"id": new_id(), "host": "elsewhere", "is_lost": False, "last_seen": clock(), "created_at": clock()}
    async with database.transaction() as transaction:
        await transaction.execute(insert(Worker).values(**{**row, **changes}))
    return str({**row, **changes}["id"])


def holding(version_id: str, **changes: Any) -> dict[str, Any]:
    """As a worker tells it."""
    usual = {
        "version": version_id,
        "state": "warm",
        "pid": 42,
        "memory": {"host": 1000, "gpu0": 2000},
        "running": 0,
        "concurrency": 1,
        "instances": 1,
        "min_instances": None,
        "max_instances": None,
        "last_used_at": "2026-01-01T00:00:00.000000Z",
        "failures": 0,
        "error": None,
        "retry_at": None,
        "logs": "printed\n",
    }
    return {**usual, **changes}


async def test_a_model_that_runs_is_shown_with_its_process_and_memory(
    settings: Settings, rows: Rows, alive: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    assert [worker["models"] for worker in await workers(client)] == [[]]
    await alive.run(rows, version_id, input={})
    shown = await held(client, "warm")
    assert (shown["model"], shown["version"], shown["running"]) == ("pinion/echo", version_id, 0)
    assert shown["pid"] == alive.residency.resident(version_id).group
    assert shown["logs"] == "looking for the weights\n"
    await alive.residency.make_room({})
    await until(lambda: _has_memory(client))


async def _has_memory(client: httpx.AsyncClient) -> bool:
    shown = await held(client, "warm")
    [worker] = await workers(client)
    [host] = worker["memory"]
    return bool(shown["memory"].get("host", 0) > 1_000_000 and host["taken_bytes"] >= shown["memory"]["host"])


async def test_a_model_that_keeps_dying_is_shown_as_unhealthy_with_reason_and_log_on_its_version_too(
    settings: Settings, rows: Rows, alive: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "dies_in_setup")
    failures = alive.residency.resident(version_id).failures
    for count in range(1, 4):
        await alive.run(rows, version_id, input={})
        await until(lambda count=count: failures.count == count)
    shown = await held(client, "unhealthy")
    assert (shown["failures"], shown["pid"], shown["memory"]) == (3, None, {})
    assert "exited with code 7" in shown["error"]
    assert shown["retry_at"]
    version = (await client.get(f"/v1/models/pinion/echo/versions/{version_id}")).json()
    assert (version["status"], version["is_warm"]) == ("ready", False)
    assert [(each["worker"], each["state"]) for each in version["workers"]] == [(alive.presence.id, "unhealthy")]


async def test_each_worker_has_its_own_view_and_one_that_has_died_has_none(
    database: Database, rows: Rows, client: httpx.AsyncClient
) -> None:
    version_id = rows.version_id
    report = {"versions": [holding(version_id)], "memory": []}
    well = await add_worker(database, report=report)
    ill = await add_worker(database, report={"versions": [holding(version_id, state="unhealthy", failures=5)]})
    new = await add_worker(database)
    await add_worker(database, report=report, is_lost=True)
    await add_worker(database, report=report, last_seen=clock(-60))
    assert {worker["id"] for worker in await workers(client)} == {well, ill, new}
    latest = (await client.get("/v1/models/pinion/echo")).json()["latest_version"]
    assert latest["is_warm"]
    assert {each["worker"]: each["state"] for each in latest["workers"]} == {well: "warm", ill: "unhealthy"}


async def test_private_models_of_others_are_not_shown_and_their_logs_never(
    database: Database, rows: Rows, client: httpx.AsyncClient
) -> None:
    await add_worker(database, report={"versions": [holding(rows.version_id)]})
    await (await Rows.made(database, "stranger")).add_token(OTHER_TOKEN)
    client.headers["authorization"] = f"Bearer {OTHER_TOKEN}"
    [worker] = await workers(client)
    assert [(model["model"], model["logs"]) for model in worker["models"]] == [("pinion/echo", None)]
    await rows.change(Model, Model.id == rows.model_id, visibility="private")
    [worker] = await workers(client)
    assert worker["models"] == []
    assert (await client.get("/metrics")).status_code == 403


async def test_prometheus_reads_queues_workers_models_webhooks_and_this_process(
    settings: Settings, rows: Rows, alive: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "records_metrics", is_iterator=True)
    version = ("pinion/echo", version_id[:12])
    ended = await alive.run(rows, version_id, input={}, streams=True)
    assert ended.status == "succeeded", ended.error
    await held(client, "warm")
    waiting = await rows.waiting(version_id=version_id, webhook="http://127.0.0.1:9/")
    await rows.running(version_id=version_id)
    async with rows.database.transaction() as transaction:
        await lifecycle.fail(transaction, waiting, "for the sake of its message", None)
    await rows.waiting(version_id=version_id)
    await rows.waiting(version_id=version_id, kind=Kind.TRAINING, destination="pinion/tuned")
    worker = alive.presence.id
    shown = await figures(client)
    assert shown.of("pinion_trainings", "starting") == 1
    assert shown.of("pinion_queue_depth", *version) == 1
    assert shown.of("pinion_queue_oldest_seconds", *version) >= 0
    assert shown.of("pinion_predictions_running", *version) == 1
    assert shown.of("pinion_workers") == 1
    assert shown.of("pinion_model_state", worker, *version, "warm") == 1
    assert shown.of("pinion_predictions_ended_total", worker, *version, "succeeded") == 1
    assert shown.of("pinion_predict_seconds_total", worker, *version) >= 0
    assert shown.of("pinion_recorded_total", worker, *version, "tokens") == 5
    assert shown.of("pinion_webhooks_waiting", "pending") == 1
    assert shown.of("pinion_worker_memory_bytes", worker, "host", "budget") > 0
    assert shown.of("pinion_http_seconds_count", "GET", "/workers", "200") >= 1
    assert shown.of("process_resident_memory_bytes") > 0


async def test_prometheus_reads_what_a_models_process_tells_of_itself(
    settings: Settings, rows: Rows, alive: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "tells_of_its_process")
    assert (await alive.run(rows, version_id, input={})).status == "succeeded"
    await held(client, "warm")
    shown = await figures(client)
    labels = (alive.presence.id, "pinion/echo", version_id[:12])
    assert shown.of("pinion_model_figure", *labels, "cache.size") == 4
    assert shown.of("pinion_model_figure", *labels, "steps") == 5


async def test_figures_stand_for_routes_and_not_for_what_strangers_ask_for(client: httpx.AsyncClient) -> None:
    for path in ("/v1/nowhere/at/all", "/v1/models/pinion/nobody"):
        await client.get(path)
    await client.request("BREW", "/v1/predictions")
    shown = await figures(client)
    assert shown.of("pinion_http_seconds_count", "none", "none", "404") == 1
    assert shown.of("pinion_http_seconds_count", "GET", "/models/{owner}/{name}", "404") == 1
    assert not [name for name in shown if "BREW" in name]


async def test_figures_want_a_token(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    assert (await client.get("/metrics")).status_code == 401


async def test_a_version_that_nobody_holds_is_cold(client: httpx.AsyncClient, rows: Rows) -> None:
    version = (await client.get(f"/v1/models/pinion/echo/versions/{rows.version_id}")).json()
    assert (version["is_warm"], version["workers"]) == (False, [])
    listed = (await client.get("/v1/models/pinion/echo/versions")).json()["results"]
    assert "workers" not in listed[0]
    assert (await rows.one(Version, Version.id == rows.version_id)).status == "ready"
