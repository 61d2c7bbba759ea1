"""`pinion serve`: every row of Cog's HTTP API, asked of the real command on real models."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.instance import PROJECT, until
from tests.raw_http import ask
from tests.served import Served, serving

FIELDS = {
    "input",
    "output",
    "id",
    "version",
    "created_at",
    "started_at",
    "completed_at",
    "status",
    "error",
    "logs",
    "metrics",
}


@pytest.fixture(scope="module")
def counts() -> Iterator[Served]:
    with serving("counts_slowly") as served:
        yield served


@pytest.fixture(scope="module")
def echo() -> Iterator[Served]:
    with serving("echo") as served:
        yield served


def counting(to: int, seconds: float, **more: Any) -> dict[str, Any]:
    return {"input": {"to": to, "seconds": seconds}, **more}


def is_idle(served: Served) -> Any:
    return served.wait_until("READY")


def begin(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    """A prediction that runs on its own."""
    answer = served.predict(body, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_a_request_that_is_too_large_or_no_http_is_refused_in_words(echo: Served) -> None:
    for wrong, status in (("X: y\r\n" * 101, 431), ("X y\r\n", 400)):
        answer = ask(echo.url, f"GET /health-check HTTP/1.1\r\nHost: a\r\n{wrong}\r\n")
        assert (answer.status, answer.json()["status"]) == (status, status)
        assert answer.json()["detail"]


def test_the_root_names_every_address(echo: Served) -> None:
    root = echo.client.get("/").json()
    assert root["predictions_url"] == "/predictions"
    assert root["predictions_idempotent_url"] == "/predictions/{prediction_id}"
    assert root["predictions_cancel_url"] == "/predictions/{prediction_id}/cancel"
    assert {"docs_url", "openapi_url", "shutdown_url", "healthcheck_url"} <= root.keys()
    assert f'__version__ = "{root["cog_version"]}"' in (PROJECT / "runtime/cog/__init__.py").read_text()


def test_the_schema_is_that_of_the_model(echo: Served) -> None:
    document = echo.client.get("/openapi.json").json()
    assert list(document["components"]["schemas"]["Input"]["properties"]) == ["text"]
    assert "put" in document["paths"]["/predictions/{prediction_id}"]


def test_a_prediction_is_answered_with_the_whole_object(echo: Served) -> None:
    answer = echo.predict(
        {"id": "mine", "input": {"text": "hello", "unknown": 1}, "created_at": "2026-01-02T03:04:05Z"}
    )
    body = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert body.keys() == FIELDS
    assert (body["id"], body["status"], body["output"]) == ("mine", "succeeded", "hello")
    assert (body["input"], body["error"], body["version"], body["logs"]) == ({"text": "hello"}, None, None, "")
    assert body["created_at"] == "2026-01-02T03:04:05Z"
    assert body["started_at"] <= body["completed_at"]
    assert 0 < body["metrics"]["predict_time"] < 5


def test_a_prediction_without_an_id_gets_one(echo: Served) -> None:
    assert len(echo.predict({"input": {"text": ""}}).json()["id"]) == 26


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b'{"input": null}', b'{"input": {}}', b" "])
def test_no_input_is_an_empty_one(counts: Served, content: bytes) -> None:
    answer = counts.client.post("/predictions", content=content)
    assert (answer.status_code, answer.json()["output"]) == (200, ["1 ", "2 ", "3 "])


@pytest.mark.parametrize("content", [b"{", b"nonsense", b"[]", b'"text"', b'{"input": 1}', b'{"input": {"to": NaN}}'])
def test_what_is_no_prediction_is_refused_in_cogs_frame(counts: Served, content: bytes) -> None:
    answer = counts.client.post("/predictions", content=content)
    assert answer.status_code == 422
    [detail] = answer.json()["detail"]
    assert detail["loc"][0] == "body"
    assert {"msg", "type"} <= detail.keys()


def test_every_wrong_input_is_named(counts: Served, echo: Served) -> None:
    body = counts.predict({"input": {"to": -1, "seconds": "x"}, "webhook": "ftp://a", "id": 3}).json()
    where = {tuple(detail["loc"]) for detail in body["detail"]}
    assert where == {("body", "input", "to"), ("body", "input", "seconds"), ("body", "webhook"), ("body", "id")}
    [missing] = echo.predict({"input": {}}).json()["detail"]
    assert missing == {"loc": ["body", "input", "text"], "msg": "Field required", "type": "value_error.missing"}


def test_numbers_may_come_as_text_as_in_cog(counts: Served) -> None:
    answer = counts.predict({"input": {"to": "2", "seconds": False}}).json()
    assert (answer["status"], answer["output"]) == ("succeeded", ["1 ", "2 "])
    assert answer["input"] == {"to": 2, "seconds": 0.0}


def test_a_webhook_filter_knows_four_events(echo: Served) -> None:
    answer = echo.predict({"input": {"text": ""}, "webhook_events_filter": ["start", "end"]})
    assert answer.json()["detail"][0]["loc"] == ["body", "webhook_events_filter"]


def test_a_failure_is_an_answer_with_the_traceback_in_the_logs() -> None:
    with serving("raises") as served:
        answer = served.predict()
        body = answer.json()
        assert (answer.status_code, body["status"], body["error"]) == (200, "failed", "out of cheese")
        assert "Traceback" in body["logs"]
        assert body["metrics"]["predict_time"] > 0
        assert body["output"] is None


def test_while_one_runs_the_next_is_refused_and_health_says_busy(counts: Served) -> None:
    running = begin(counts, counting(1000, 0.01))
    assert counts.health()["status"] == "BUSY"
    refused = counts.predict(counting(1, 0))
    assert refused.status_code == 409
    assert refused.json()["detail"] == "Already running a prediction"
    assert refused.json()["status"] == "failed"
    assert counts.client.put("/predictions/another", json=counting(1, 0)).status_code == 409
    assert counts.client.post(f"/predictions/{running['id']}/cancel").status_code == 200
    is_idle(counts)
    assert counts.predict(counting(1, 0)).json()["output"] == ["1 "]


def test_one_client_after_the_other_never_meets_a_busy_server(echo: Served) -> None:
    answers = [echo.predict({"input": {"text": str(number)}}) for number in range(200)]
    assert {answer.status_code for answer in answers} == {200}


def test_an_async_prediction_is_answered_at_once_and_told_of_by_webhook(counts: Served, receiver: Any) -> None:
    answer = begin(counts, counting(2, 0, webhook=receiver.url))
    assert answer.keys() == FIELDS
    assert (answer["status"], answer["output"], answer["completed_at"]) == ("processing", [], None)
    assert answer["started_at"]
    receiver.wait_for(lambda deliveries: receiver.completed(answer["id"]))
    [completed] = receiver.completed(answer["id"])
    assert completed.json["output"] == ["1 ", "2 "]
    is_idle(counts)


def test_put_begins_once_and_then_tells_how_it_stands(counts: Served) -> None:
    first = counts.client.put("/predictions/p1", json=counting(1000, 0.01), headers={"Prefer": "respond-async"})
    second = counts.client.put("/predictions/p1", json=counting(1000, 0.01))
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["started_at"] == first.json()["started_at"]
    assert second.json()["input"] == {"to": 1000, "seconds": 0.01}
    counts.client.post("/predictions/p1/cancel")
    is_idle(counts)
    again = counts.client.put("/predictions/p1", json=counting(1, 0, id="p1"))
    assert (again.status_code, again.json()["status"]) == (200, "succeeded"), "a finished one is forgotten"


def test_the_id_of_a_put_is_that_of_its_path(counts: Served) -> None:
    answer = counts.client.put("/predictions/p1", json=counting(1, 0, id="p2"))
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "id"])


def test_a_cancel_keeps_what_was_there_and_is_refused_for_what_does_not_run(counts: Served, receiver: Any) -> None:
    begin(counts, counting(1000, 0.01, id="c1", webhook=receiver.url))
    receiver.wait_for(lambda deliveries: any(delivery.json.get("output") for delivery in deliveries))
    canceled = counts.client.post("/predictions/c1/cancel")
    assert (canceled.status_code, canceled.json()) == (200, {})
    receiver.wait_for(lambda deliveries: receiver.completed("c1"))
    body = receiver.completed("c1")[0].json
    assert body["status"] == "canceled"
    assert body["output"][:2] == ["1 ", "2 "]
    unknown = counts.client.post("/predictions/c1/cancel")
    assert (unknown.status_code, unknown.json()) == (404, {})
    is_idle(counts)


def test_what_cog_does_not_have_is_not_there(echo: Served) -> None:
    statuses = [echo.client.get(path).status_code for path in ("/predictions/x", "/predictions", "/docs", "/trainings")]
    assert statuses == [405, 405, 404, 405]
    assert echo.client.get("/predictions/x").headers["allow"] == "PUT"
    untrainable = echo.client.post("/trainings", json={})
    assert (untrainable.status_code, "names nothing to train" in untrainable.json()["detail"]) == (404, True)


def test_secrets_are_not_repeated() -> None:
    with serving("takes_everything") as served:
        body = served.predict({"input": {"password": "sesame"}}).json()
        assert body["input"]["password"] == "**********"
        assert body["output"]["secret"] == "sesame"


# --- health -------------------------------------------------------------------------------------------------------


def test_setup_is_seen_while_it_goes_on_and_predictions_wait_outside(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    with serving("waits_in_setup", wait=False, COG_WEIGHTS=str(weights)) as served:
        health = until(lambda: (health := served.health())["setup"].get("logs") and health)
        assert (health["status"], health["setup"]["status"]) == ("STARTING", "starting")
        assert health["setup"]["logs"] == "waiting for the weights\n"
        refused = served.predict()
        assert (refused.status_code, refused.json()["status"]) == (503, "failed")
        assert served.client.get("/openapi.json").status_code == 200
        weights.touch()
        setup = served.wait_until("READY")["setup"]
        assert (setup["status"], setup["logs"]) == ("succeeded", "waiting for the weights\n")
        assert setup["started_at"] < setup["completed_at"]
        assert served.predict().json()["output"] == "set up"


def test_a_failed_setup_is_explained_and_the_server_stays() -> None:
    with serving("fails_in_setup", wait=False) as served:
        setup = served.wait_until("SETUP_FAILED")["setup"]
        assert setup["status"] == "failed"
        assert "loading weights" in setup["logs"]
        assert "RuntimeError: the weights are missing" in setup["logs"]
        assert served.predict().status_code == 503
        assert served.process.poll() is None


def test_a_model_that_cannot_be_imported_has_no_schema() -> None:
    with serving("fails_at_import", wait=False) as served:
        assert "a_module_that_is_not_there" in served.wait_until("SETUP_FAILED")["setup"]["logs"]
        answer = served.client.get("/openapi.json")
        assert (answer.status_code, answer.json()) == (503, {"error": "OpenAPI schema not available"})


def test_setup_may_take_only_so_long(tmp_path: Path) -> None:
    settings = {"COG_WEIGHTS": str(tmp_path / "never"), "COG_SETUP_TIMEOUT": "0.5"}
    with serving("waits_in_setup", wait=False, **settings) as served:
        assert "not set up within 0.5 seconds" in served.wait_until("SETUP_FAILED")["setup"]["logs"]


def test_a_model_process_that_dies_fails_its_prediction_and_is_started_again() -> None:
    with serving("kills_itself") as served:
        body = served.predict().json()
        assert (body["status"], body["output"]) == ("failed", ["last words"])
        assert "killed by signal 9 (SIGKILL)" in body["error"]
        served.wait_until("READY")
        assert served.predict({"input": {"with_signal": int(signal.SIGTERM)}}).json()["status"] == "failed"
        log = served.log.read_text()
        assert log.index("is ready") < log.index("is started again")


def test_a_model_that_does_not_come_back_is_defunct_until_it_does(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.touch()
    settings = {"COG_WEIGHTS": str(weights), "COG_SETUP_TIMEOUT": "1"}
    with serving("waits_in_setup", **settings) as served:
        weights.unlink()
        served.model_process().kill()
        assert served.wait_until("DEFUNCT")["setup"]["status"] == "failed"
        assert served.predict().status_code == 503
        weights.touch()
        served.wait_until("READY")


def test_kubernetes_sees_when_it_is_ready() -> None:
    file = Path("/var/run/cog/ready")
    if not os.access("/var/run", os.W_OK):
        pytest.skip("only root may write there")
    with serving("echo", KUBERNETES_SERVICE_HOST="10.0.0.1"):
        until(file.exists)
    file.unlink()


# --- streams and disconnects --------------------------------------------------------------------------------------


class Stream:
    """Server-sent events as they come, of a request that can be broken off."""

    def __init__(self, served: Served, method: str, path: str, body: dict[str, Any]) -> None:
        host, port = served.url.removeprefix("http://").split(":")
        content = json.dumps(body).encode()
        self._socket = socket.create_connection((host, int(port)), 15)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
        self._socket.sendall(f"{head}Accept: text/event-stream\r\n\r\n".encode() + content)
        self._lines = self._socket.makefile()

    def events(self) -> Iterator[tuple[str, Any]]:
        for line in self._lines:
            if line.startswith("event: "):
                yield line[7:].strip(), json.loads(next(self._lines)[len("data: ") :])

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def streamed(served: Served, body: dict[str, Any]) -> list[tuple[str, Any]]:
    return collect(Stream(served, "POST", "/predictions", body))


def collect(stream: Stream) -> list[tuple[str, Any]]:
    events = []
    for event in stream.events():
        events.append(event)
        if event[0] == "completed":
            break
    stream.close()
    return events


def test_a_stream_tells_everything_in_order() -> None:
    with serving("prints_between") as served:
        events = streamed(served, {"id": "s1", "input": {"to": 2}})
    assert events[0] == ("start", {"id": "s1", "status": "processing"})
    assert [data for name, data in events if name == "output"] == [{"chunk": 0, "index": 0}, {"chunk": 1, "index": 1}]
    assert (events[1][0], events[1][1]["source"]) == ("log", "stdout"), "what is printed comes before what follows it"
    assert "".join(data["data"] for name, data in events if name == "log") == "before 0;before 1;"
    name, final = events[-1]
    assert name == "completed"
    assert final.keys() == FIELDS
    assert (final["status"], final["output"]) == ("succeeded", [0, 1])


def test_a_stream_tells_of_metrics_and_of_failure() -> None:
    with serving("records_metrics") as served:
        events = streamed(served, {})
        metrics = [data for name, data in events if name == "metric"]
        assert metrics[0] == {"name": "tokens", "value": 2, "mode": "replace"}
        assert metrics[1]["mode"] == "increment"
        assert events[-1][1]["metrics"]["tokens"] == 5
    with serving("raises") as served:
        [*_, (name, final)] = streamed(served, {})
        assert (name, final["status"], final["error"]) == ("completed", "failed", "out of cheese")


def test_a_put_that_comes_later_hears_it_from_the_beginning(counts: Served) -> None:
    first = Stream(counts, "PUT", "/predictions/s2", counting(60, 0.01))
    events = first.events()
    until(lambda: next(events)[0] == "output")
    second = collect(Stream(counts, "PUT", "/predictions/s2", counting(60, 0.01)))
    chunks = [data["chunk"] for name, data in second if name == "output"]
    assert chunks == [f"{number} " for number in range(1, 61)]
    assert second[-1][1]["status"] == "succeeded"
    first.close()
    is_idle(counts)


def test_when_the_last_one_stops_listening_the_prediction_is_canceled(counts: Served, receiver: Any) -> None:
    body = counting(1000, 0.01, webhook=receiver.url, webhook_events_filter=["completed"])
    streams = [Stream(counts, "PUT", "/predictions/s3", body) for _ in range(2)]
    for stream in streams:
        assert "output" in (name for name, _ in stream.events())
    streams[0].close()
    assert counts.health()["status"] == "BUSY"
    streams[1].close()
    receiver.wait_for(lambda deliveries: receiver.completed("s3"))
    assert receiver.completed("s3")[0].json["status"] == "canceled"
    is_idle(counts)


def test_events_that_are_no_longer_kept_are_counted() -> None:
    with serving("counts_slowly", COG_STREAM_HISTORY_CAPACITY="2") as served:
        first = Stream(served, "PUT", "/predictions/s4", counting(50, 0.01))
        events = first.events()
        until(lambda: next(events)[1].get("index") == 5)
        (name, data), output, *_ = collect(Stream(served, "PUT", "/predictions/s4", counting(50, 0.01)))
        assert name == "error"
        assert data["skipped"] >= 5
        assert output[1]["index"] == data["skipped"] - 1, "the start was one of those skipped"
        first.close()


def test_a_client_that_leaves_cancels_what_it_waited_for(counts: Served, receiver: Any) -> None:
    body = counting(1000, 0.01, id="left", webhook=receiver.url, webhook_events_filter=["completed"])
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{counts.url}/predictions", json=body, timeout=0.5, trust_env=False)
    receiver.wait_for(lambda deliveries: receiver.completed("left"))
    assert receiver.completed("left")[0].json["status"] == "canceled"
    is_idle(counts)


# --- webhooks -----------------------------------------------------------------------------------------------------


def test_webhooks_tell_start_progress_and_end(receiver: Any) -> None:
    with serving("counts_slowly", WEBHOOK_AUTH_TOKEN="t0p", COG_THROTTLE_RESPONSE_INTERVAL="0.1") as served:
        trace = {"traceparent": "00-1-2-01", "tracestate": "a=b"}
        served.predict(counting(200, 0.01, id="w1", webhook=receiver.url), **trace)
        deliveries = receiver.wait_for(lambda deliveries: receiver.completed("w1"))
    start, *progress, completed = [delivery.json for delivery in deliveries]
    assert (start["status"], start["output"], start["input"]) == ("processing", [], {"to": 200, "seconds": 0.01})
    assert "completed_at" not in start, "unset keys are left out"
    seconds = completed["metrics"]["predict_time"]
    assert 1 <= len(progress) <= seconds / 0.1 + 1, "one a tenth of a second at most"
    assert [len(body["output"]) for body in progress] == sorted({len(body["output"]) for body in progress})
    assert (completed["status"], len(completed["output"])) == ("succeeded", 200)
    for delivery in deliveries:
        assert delivery.headers["authorization"] == "Bearer t0p"
        assert (delivery.headers["traceparent"], delivery.headers["tracestate"]) == ("00-1-2-01", "a=b")


def test_only_the_events_asked_for_are_sent(counts: Served, receiver: Any) -> None:
    events = ["completed"]
    counts.predict(counting(100, 0.01, id="w2", webhook=receiver.url, webhook_events_filter=events))
    receiver.wait_for(lambda deliveries: receiver.completed("w2"))
    assert len(receiver.deliveries) == 1


def test_the_end_is_told_again_until_it_is_heard(echo: Served, receiver: Any) -> None:
    receiver.answers = [500, 503, 429]
    body = {"id": "w3", "input": {"text": "x"}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
    echo.predict(body)
    receiver.wait_for(lambda deliveries: len(deliveries) == 4)
    receiver.answers = [400]
    echo.predict({**body, "id": "w4"})
    receiver.wait_for(lambda deliveries: receiver.completed("w4"))
    receiver.answers = [500, 500]
    echo.predict({**body, "id": "w5"})
    receiver.wait_for(lambda deliveries: len(receiver.completed("w5")) == 3)
    assert len(receiver.completed("w4")) == 1, "a refusal is final"


def test_a_receiver_that_never_answers_blocks_nobody(echo: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        webhook = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        for number in range(5):
            answer = echo.predict({"input": {"text": str(number)}, "webhook": webhook})
            assert answer.json()["output"] == str(number)
        assert time.monotonic() - began < 5


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "shutdown"])
def test_a_stopping_server_finishes_what_it_runs(how: str, receiver: Any) -> None:
    with serving("counts_slowly") as served, ThreadPoolExecutor() as pool:
        body = counting(100, 0.01, webhook=receiver.url, webhook_events_filter=["start", "completed"])
        running = pool.submit(served.predict, body)
        receiver.wait_for(len)
        model = served.model_process()
        if how == "shutdown":
            assert served.client.post("/shutdown").status_code == 200
        else:
            served.process.send_signal(getattr(signal, how))
        answer = running.result()
        assert (answer.status_code, len(answer.json()["output"])) == (200, 100)
        assert served.process.wait(10) == 0
        until(lambda: not model.is_running())
        assert receiver.completed(answer.json()["id"])
        with pytest.raises(httpx.ConnectError):
            served.health()


def test_what_nobody_waits_for_is_finished_too(receiver: Any) -> None:
    with serving("counts_slowly") as served:
        answer = begin(served, counting(100, 0.01, webhook=receiver.url))
        served.process.terminate()
        assert served.process.wait(10) == 0
    assert receiver.completed(answer["id"])[0].json["status"] == "succeeded"


def test_an_explicit_shutdown_can_be_demanded() -> None:
    with serving("echo", "--await-explicit-shutdown") as served:
        served.process.terminate()
        for _ in range(20):
            assert served.predict({"input": {"text": "still here"}}).status_code == 200
        served.client.post("/shutdown")
        assert served.process.wait(10) == 0


def test_a_second_interrupt_cancels_what_runs() -> None:
    with serving("sleeps_in_c") as served:
        begin(served, {"input": {"seconds": 60}})
        served.process.send_signal(signal.SIGINT)
        until(lambda: not is_listening(served))
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(10) == 0


def is_listening(served: Served) -> bool:
    try:
        httpx.get(served.url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


# --- starting -----------------------------------------------------------------------------------------------------


def test_the_port_may_come_from_the_environment() -> None:
    assert "PORT must be a number" in pinion_serve("tests/predictors/echo", PORT="none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port} cannot be listened on" in pinion_serve("tests/predictors/echo", PORT=str(port))


def test_a_folder_without_a_model_is_said_at_once(tmp_path: Path) -> None:
    assert "has no cog.yaml" in pinion_serve(str(tmp_path))
    assert "is not a folder" in pinion_serve(str(tmp_path / "nowhere"))


def pinion_serve(folder: str, **environment: str) -> str:
    """What a start that cannot work says; fails the test when it works."""
    command = [PROJECT / "pinion", "serve", folder]
    run = subprocess.run(command, env={**os.environ, **environment}, cwd=PROJECT, capture_output=True, timeout=30)
    assert run.returncode == 1
    return run.stderr.decode()


def test_another_interpreter_can_run_the_model() -> None:
    with serving("reveals_surroundings", "--python", sys.executable) as served:
        output = served.predict().json()["output"]
        assert "WEBHOOK_AUTH_TOKEN" not in output["environment"]


def test_clients_that_come_together_are_served_in_turn(echo: Served) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda number: echo.predict({"input": {"text": str(number)}}), range(60)))
    assert {answer.status_code for answer in answers} == {200}, "nobody is refused for a moment's wait"
    assert [answer.json()["output"] for answer in answers] == [str(number) for number in range(60)]


def test_nothing_heavy_is_loaded_to_serve() -> None:
    program = "import sys, serving.server, serving.listening; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, check=True, text=True)
    heavy = {"sqlalchemy", "fastapi", "torch", "arq", "redis", "httpx", "structlog", "typer"}
    assert heavy.isdisjoint(re.split(r"\s", loaded.stdout))
