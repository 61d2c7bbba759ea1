"""`pinion run`, `pinion push` and `pinion model` against a server that answers from a script.

The real server is asked in the acceptance tests.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cli import push as push_module
from cli import run as run_module
from cli.failure import Failure
from cli.models import rerun
from cli.push import push
from cli.run import render, run

VERSION = "f" * 64
SCHEMAS = {
    "Input": {"properties": {"times": {"type": "integer"}}},
    "Output": {"type": "array", "items": {"type": "string"}, "x-cog-array-display": "concatenate"},
}
READY = {"id": VERSION, "status": "ready", "openapi_schema": {"components": {"schemas": SCHEMAS}}}
MODEL = {"url": "http://pinion.example/ada/echo", "latest_version": READY}
FOUND = ("GET", "/v1/models/ada/echo", 200, MODEL)


class Script:
    """Answers in their order, by method and path; the last one of a path is repeated."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str, int, Any]] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def next_answer(self, method: str, path: str) -> tuple[int, Any]:
        fitting = [answer for answer in self.answers if answer[:2] == (method, path)]
        assert fitting, f"nobody expected {method} {path}"
        if len(fitting) > 1:
            self.answers.remove(fitting[0])
        return fitting[0][2:]

    def heads(self, path: str) -> list[dict[str, str]]:
        return [headers for _, asked, headers, _ in self.requests if asked == path]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.requests.append((self.command, self.path, dict(self.headers), body))
            status, content = script.next_answer(self.command, self.path)
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(payload)

        do_PATCH = do_POST = do_PUT = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def prediction(status: str, **rest: object) -> dict[str, object]:
    return {"id": "p1", "status": status, "urls": {}, **rest}


def test_a_stream_is_shown_as_it_comes_and_resumed_where_it_broke(
    script: Script, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    streaming = prediction("starting", urls={"stream": "https://elsewhere.example/v1/streams/s1"})
    script.answers = [
        FOUND,
        ("POST", "/v1/predictions", 201, streaming),
        ("GET", "/v1/streams/s1", 200, b"event: output\nid: 7:1\ndata: four \n\nevent: output\nid: 7:2\ndata: tw"),
        ("GET", "/v1/streams/s1", 200, b"event: output\nid: 7:2\ndata: two\n\nevent: done\nid: 7:3\ndata: {}\n\n"),
        ("GET", "/v1/predictions/p1", 200, prediction("succeeded")),
    ]
    run("ada/echo", ["times=2"], None, url)
    assert capsys.readouterr().out == "four two\n"
    sent = next(body for method, _, _, body in script.requests if method == "POST")
    assert json.loads(sent) == {"version": VERSION, "input": {"times": 2}}
    first, second = script.heads("/v1/streams/s1")
    assert "Last-Event-ID" not in first
    assert second["Last-Event-ID"] == "7:1"


def test_one_that_was_started_again_while_it_was_streamed_is_shown_whole(
    script: Script, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    streaming = prediction("starting", urls={"stream": "https://elsewhere.example/v1/streams/s1"})
    begun_again = b'event: error\nid: 2:-2\ndata: {}\n\nevent: done\nid: 2:-1\ndata: {"reason": "error"}\n\n'
    script.answers = [
        FOUND,
        ("POST", "/v1/predictions", 201, streaming),
        ("GET", "/v1/streams/s1", 200, b"event: output\nid: 1:0\ndata: fo\n\n" + begun_again),
        ("GET", "/v1/predictions/p1", 200, prediction("succeeded", output=["four ", "two"])),
    ]
    run("ada/echo", ["times=2"], None, url)
    shown = capsys.readouterr()
    assert shown.out == "fo\nfour two\n"
    assert "started again" in shown.err


def test_what_a_stream_that_never_said_that_it_is_done_has_left_out_is_shown(
    script: Script, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_MOST_RECONNECTS", 0)
    streaming = prediction("starting", urls={"stream": "https://elsewhere.example/v1/streams/s1"})
    script.answers = [
        FOUND,
        ("POST", "/v1/predictions", 201, streaming),
        ("GET", "/v1/streams/s1", 200, b"event: output\nid: 1:0\ndata: fo\n\n"),
        ("GET", "/v1/predictions/p1", 200, prediction("succeeded", output=["fo", "ur"])),
    ]
    run("ada/echo", ["times=2"], None, url)
    assert capsys.readouterr().out == "fo\nfour\n"


@pytest.mark.parametrize(("policy", "method"), [("always", "PATCH"), (None, "GET")])
def test_when_a_models_predictions_are_run_again_is_set_or_only_shown(
    script: Script, url: str, capsys: pytest.CaptureFixture[str], policy: str | None, method: str
) -> None:
    script.answers = [(method, "/v1/models/ada/echo", 200, {"rerun": "always"})]
    rerun("ada/echo", policy, url)
    assert capsys.readouterr().out == "always\n"
    [(_, _, _, body)] = script.requests
    assert body == (b'{"rerun":"always"}' if policy else b"")


def test_without_a_stream_the_output_is_printed_when_it_is_there(
    script: Script, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_FIRST_LOOK_SECONDS", 0.0)
    script.answers = [
        ("GET", f"/v1/models/ada/echo/versions/{VERSION}", 200, READY),
        ("POST", "/v1/predictions", 201, prediction("starting")),
        ("GET", "/v1/predictions/p1", 200, prediction("processing")),
        ("GET", "/v1/predictions/p1", 200, prediction("succeeded", output={"a": 1})),
    ]
    run(f"ada/echo:{VERSION}", [], None, url)
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_a_failed_prediction_fails_the_command_with_its_error(script: Script, url: str) -> None:
    script.answers = [
        FOUND,
        ("POST", "/v1/predictions", 201, prediction("starting")),
        ("GET", "/v1/predictions/p1", 200, prediction("failed", error="out of memory")),
    ]
    with pytest.raises(Failure, match="ada/echo failed: out of memory"):
        run("ada/echo", [], None, url)


def test_ctrl_c_cancels_the_prediction(script: Script, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    script.answers = [
        FOUND,
        ("POST", "/v1/predictions", 201, prediction("starting")),
        ("GET", "/v1/predictions/p1", 200, prediction("processing")),
        ("POST", "/v1/predictions/p1/cancel", 200, prediction("canceled")),
    ]
    with pytest.raises(KeyboardInterrupt):
        run("ada/echo", [], None, url)
    assert script.requests[-1][1] == "/v1/predictions/p1/cancel"


def test_a_model_without_a_version_is_explained(script: Script, url: str) -> None:
    script.answers = [("GET", "/v1/models/ada/echo", 200, {"latest_version": None})]
    with pytest.raises(Failure, match="ada/echo has no version that is ready: push one"):
        run("ada/echo", [], None, url)


@pytest.mark.parametrize(
    ("output", "separator", "text"),
    [
        ("plain", "", "plain"),
        (["a", "b"], "", "ab"),
        (["http://a", "http://b"], "\n", "http://a\nhttp://b"),
        ([], "", "[]"),
        (["ü", 1], "", '[\n  "ü",\n  1\n]'),
        (None, "", "null"),
    ],
)
def test_an_output_is_shown_as_text_where_it_is_text(output: object, separator: str, text: str) -> None:
    assert render(output, separator) == text


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(push_module, "_LOOK_SECONDS", 0.0)
    monkeypatch.setenv("PINION_HOME", str(tmp_path.with_name("home")))
    (tmp_path / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    return tmp_path


def test_a_pushed_folder_arrives_and_its_log_is_shown_once(
    script: Script, url: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = "/v1/models/ada/echo/versions"
    content = (model / "cog.yaml").read_bytes()
    digest = sha256(content).hexdigest()
    script.answers = [
        ("POST", versions, 202, {"missing": [{"sha256": digest, "size": len(content), "received": 4}]}),
        ("PUT", f"/v1/contents/{digest}?offset=4&size={len(content)}", 200, {"received": len(content)}),
        ("POST", versions, 201, {"id": VERSION, "status": "building", "logs": ""}),
        ("GET", f"{versions}/{VERSION}", 200, {"id": VERSION, "status": "building", "logs": "one\n"}),
        ("GET", f"{versions}/{VERSION}", 200, {"id": VERSION, "status": "ready", "logs": "one\ntwo\n"}),
    ]
    push(str(model), "ada/echo", url)
    shown = capsys.readouterr()
    assert shown.err == "one\ntwo\n"
    assert shown.out == f"ada/echo:{VERSION}\n{url}/v1/models/ada/echo\n"
    (*_, told), (*_, sent) = script.requests[:2]
    described = {"path": "cog.yaml", "size": len(content), "sha256": digest, "executable": False}
    assert json.loads(told) == {"files": [described]}
    assert sent == content[4:]


def test_of_a_log_that_lost_its_beginning_the_rest_is_shown_once() -> None:
    assert push_module.unseen("one\ntwo\n", "one\ntwo\nthree\n") == "three\n"
    long = "x" * 300 + "end\n"
    assert push_module.unseen(long, long[50:] + "more\n") == "more\n"


def test_a_version_that_cannot_be_built_fails_the_command(script: Script, url: str, model: Path) -> None:
    failed = {"id": VERSION, "status": "failed", "logs": "", "error": "no module named torch"}
    script.answers = [("POST", "/v1/models/ada/echo/versions", 201, failed)]
    with pytest.raises(Failure, match="ada/echo could not be built: no module named torch"):
        push(str(model), "ada/echo", url)


def test_a_folder_without_a_model_is_explained_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"has no cog\.yaml: write one"):
        push(str(tmp_path), "ada/echo", "http://127.0.0.1:1")
    with pytest.raises(Failure, match="nowhere is no folder"):
        push(str(tmp_path / "nowhere"), "ada/echo", "http://127.0.0.1:1")


@pytest.mark.parametrize("name", ["echo", "/echo", "ada/", "a/b/c", "ada/echo:1"])
def test_a_name_of_another_form_is_explained(model: Path, name: str) -> None:
    with pytest.raises(Failure, match="write it as owner/name"):
        push(str(model), name, "http://127.0.0.1:1")
