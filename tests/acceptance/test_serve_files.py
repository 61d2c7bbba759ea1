"""`pinion serve` and files: inputs are fetched and cleared away, outputs come in the answer or are uploaded."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.depot import Depot, storing_files
from tests.instance import until
from tests.served import Served, serving


@pytest.fixture
def depot() -> Iterator[Depot]:
    with storing_files() as depot:
        yield depot


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("copies_files") as served:
        yield served


def content(url: str) -> tuple[str, str]:
    """Media type and text of a data URL."""
    head, _, payload = url.partition(",")
    assert head.endswith(";base64")
    return head[len("data:") : -len(";base64")], base64.b64decode(payload).decode()


def temporary_files(served: Served) -> list[Path]:
    """What the server and its model have left in their folder for temporary files, but for locks: ours and uv's."""
    places = served.log.parent.rglob("*")
    return [path for path in places if path.is_file() and path != served.log and not path.name.endswith("lock")]


def test_an_input_file_is_fetched_under_its_own_name_and_leaves_nothing_behind(served: Served, depot: Depot) -> None:
    depot.files["/a/some%20text.txt?key=1"] = b"words"
    address = f"{depot.url}/a/some%20text.txt?key=1"
    body = served.predict({"input": {"source": address}}).json()
    assert body["status"] == "succeeded", body["error"]
    assert body["input"]["source"] == address, "what was sent is what is shown"
    assert "read some text.txt" in body["logs"]
    assert [content(url) for url in body["output"]] == [("text/plain", "words 0"), ("text/plain", "words 1")]
    assert temporary_files(served) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [("data:text/plain;base64,d29yZHM=", "file.txt"), ("data:,words", "file"), ("DATA:image/png,wo%72ds", "file.png")],
)
def test_a_data_url_is_a_file_too(served: Served, url: str, name: str) -> None:
    body = served.predict({"input": {"source": url, "times": 1}}).json()
    assert f"read {name}\n" in body["logs"]
    assert content(body["output"][0])[1] == "words 0"


def test_an_input_that_moved_is_followed(served: Served, depot: Depot) -> None:
    depot.redirects["/old"] = "/new.txt"
    depot.files["/new.txt"] = b"moved"
    body = served.predict({"input": {"source": f"{depot.url}/old", "times": 1}}).json()
    assert content(body["output"][0])[1] == "moved 0"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/missing", "the server answered HTTP 404"),
        ("/circle", "too many redirects"),
        ("http://127.0.0.1:1/", "All connection attempts failed"),
        ("http://169.254.169.254/latest", "address not allowed by policy"),
        ("data:text/plain;base64,x", "its base64 is damaged"),
    ],
)
def test_an_input_that_cannot_be_fetched_fails_the_prediction(
    served: Served, depot: Depot, url: str, reason: str
) -> None:
    depot.redirects["/circle"] = "/circle"
    answer = served.predict({"input": {"source": f"{depot.url}{url}" if url.startswith("/") else url}})
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "failed")
    assert body["error"].startswith("could not download input.source: ")
    assert reason in body["error"]
    assert temporary_files(served) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/etc/hostname", "data:no-comma"])
def test_a_file_of_the_server_cannot_be_named(served: Served, url: str) -> None:
    answer = served.predict({"input": {"source": url}})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:3] == ["body", "input", "source"]


def test_a_text_that_looks_like_a_url_stays_a_text(depot: Depot) -> None:
    with serving("echo") as served:
        url = f"{depot.url}/x"
        assert served.predict({"input": {"text": url}}).json()["output"] == url
    assert depot.requests == []


def test_lists_of_files_are_fetched_in_order(depot: Depot) -> None:
    depot.files |= {"/1": b"one", "/2": b"two"}
    with serving("takes_everything") as served:
        body = served.predict({"input": {"files": [f"{depot.url}/1", "data:,and", f"{depot.url}/2"]}}).json()
        assert body["output"]["contents"] == ["one", "and", "two"]
        refused = served.predict({"input": {"files": ["data:,a", "file:///b"]}}).json()
        assert refused["detail"][0]["loc"] == ["body", "input", "files", 1]


def test_a_cancel_does_not_wait_for_a_download(served: Served, depot: Depot, receiver: Any) -> None:
    depot.may_answer.clear()
    body = {"id": "slow", "input": {"source": f"{depot.url}/x"}, "webhook": receiver.url}
    served.predict(body, Prefer="respond-async")
    until(lambda: depot.requests)
    assert served.client.post("/predictions/slow/cancel").status_code == 200
    receiver.wait_for(lambda deliveries: receiver.completed("slow"))
    assert receiver.completed("slow")[0].json["status"] == "canceled"
    served.wait_until("READY")


def test_outputs_are_uploaded_as_they_come(depot: Depot) -> None:
    with serving("copies_files", "--upload-url", f"{depot.url}/uploads") as served:
        trace = {"traceparent": "00-1-2-01"}
        body = served.predict({"id": "u1", "input": {"source": "data:text/plain,up"}}, **trace).json()
        assert body["output"] == [f"{depot.url}/uploads/copy%20{number}.txt" for number in range(2)]
        assert depot.files["/uploads/copy%201.txt"] == b"up 1"
        headers = depot.headers["/uploads/copy%201.txt"]
        assert headers["content-type"] == "text/plain"
        assert (headers["x-prediction-id"], headers["traceparent"]) == ("u1", "00-1-2-01")
        assert temporary_files(served) == []


def test_where_an_output_went_is_what_the_server_says(depot: Depot) -> None:
    with serving("copies_files", "--upload-url", f"{depot.url}/u/") as served:
        body = {"input": {"source": "data:,x", "times": 1}}
        depot.location = "https://cdn.example/final.txt?signature=secret"
        assert served.predict(body).json()["output"] == ["https://cdn.example/final.txt"]
        depot.location = "/elsewhere"
        assert served.predict(body).json()["output"] == [f"{depot.url}/elsewhere"]


def test_an_upload_is_tried_again_and_fails_the_prediction_in_the_end(depot: Depot) -> None:
    with serving("copies_files", "--upload-url", depot.url) as served:
        body = {"input": {"source": "data:,x", "times": 2}}
        depot.answers = [503, 500]
        assert served.predict(body).json()["status"] == "succeeded"
        depot.answers = [403]
        failed = served.predict(body).json()
        assert failed["status"] == "failed"
        assert failed["error"] == "The output file copy 0.txt could not be uploaded: the server answered 403."
        assert served.predict(body).json()["status"] == "succeeded"


def test_a_file_that_was_there_before_is_not_removed(tmp_path: Path) -> None:
    keep = tmp_path / "keep.bin"
    keep.write_bytes(b"kept")
    os.utime(keep, (0, 0))
    with serving("returns_anything", TMPDIR=str(tmp_path)) as served:
        for _ in range(2):
            [url] = served.predict({"input": {"what": "file", "path": str(keep)}}).json()["output"]
            assert url == "data:application/octet-stream;base64,a2VwdA=="
        assert content(served.predict({"input": {"what": "bytes"}}).json()["output"].replace("/w==", "YQ=="))[1] == "a"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [keep]


@pytest.mark.parametrize("predictor", ["overwrites_its_file", "overwrites_its_file_async"])
def test_a_model_may_overwrite_and_remove_the_file_it_has_yielded(predictor: str) -> None:
    with serving(predictor) as overwriting:
        given = {"texts": ["one", "two", "three"], "bytes_before": 1_000_000}
        body = overwriting.predict({"input": given}).json()
    assert (body["status"], body["error"]) == ("succeeded", None)
    assert [content(url)[1].strip() for url in body["output"]] == given["texts"]
