"""Replicate's own JavaScript client, pointed at Pinion: each script prints what the client gave it."""

import json
from typing import Any

import pytest

from tests.acceptance import javascript_client
from tests.acceptance.javascript_client import answer_of
from tests.instance import TERMINAL, Api, Instance
from tests.receiver import Delivery, Receiver

PAGE_SIZE = 100
TINY_T5 = "pinion/tiny-t5"


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    javascript_client.require()


def test_run_answers_a_number_in_words(instance: Instance):
    output = answer_of(instance, "run.mjs", TINY_T5, {"prompt": "spell: 4217"})["output"]
    assert "".join(output) == "four thousand two hundred seventeen"


def test_run_by_polling_gives_the_whole_output(instance: Instance):
    options = {"wait": {"mode": "poll", "interval": 50}}
    answer = answer_of(instance, "run.mjs", instance.model("counts_slowly"), {"to": 3}, options)
    assert answer == {"output": ["1 ", "2 ", "3 "]}


def test_run_goes_on_by_polling_when_it_waited_too_short(instance: Instance):
    options = {"wait": {"mode": "block", "timeout": 1, "interval": 50}}
    answer = answer_of(instance, "run.mjs", instance.model("counts_slowly"), {"to": 3, "seconds": 0.5}, options)
    assert answer == {"output": ["1 ", "2 ", "3 "]}


def test_stream_brings_the_text_in_pieces_and_then_done(instance: Instance):
    *pieces, done = answer_of(instance, "stream.mjs", TINY_T5, {"prompt": "count: from 97 to 105"})
    assert {piece["event"] for piece in pieces} == {"output"}
    assert len(pieces) > 5
    assert "".join(piece["data"] for piece in pieces).startswith("ninety-seven, ninety-eight, ninety-nine, one hundred")
    assert done == {"event": "done", "data": "{}"}


def test_files_that_are_streamed_come_as_files(instance: Instance):
    *files, done = answer_of(instance, "stream_files.mjs", instance.model("copies_files"), "grüße")
    assert [file["text"] for file in files] == ["grüße 0", "grüße 1"]
    assert [file["url"].startswith(f"{instance.address}/v1/outputs/") for file in files] == [True, True]
    assert done == {"event": "done", "data": "{}"}


def test_what_the_model_raised_is_thrown(instance: Instance):
    assert "out of cheese" in answer_of(instance, "run.mjs", instance.model("raises"), {})["error"]


def test_a_wrong_input_throws_an_error_that_names_the_field(instance: Instance):
    answer = answer_of(instance, "run.mjs", instance.model("counts_slowly"), {"to": "many"})
    assert answer["status"] == 422
    assert "input.to" in answer["error"]


def test_a_prediction_is_created_read_waited_for_and_listed(instance: Instance):
    name = instance.model("counts_slowly").partition(":")[0]
    answer = answer_of(instance, "predictions.mjs", name, {"to": 3, "seconds": 0.1})
    assert answer["created"]["status"] == "starting"
    assert answer["found"]["id"] == answer["created"]["id"]
    assert (answer["ended"]["status"], answer["ended"]["output"]) == ("succeeded", ["1 ", "2 ", "3 "])
    assert answer["canceled"] == answer["ended"]
    assert answer["isListed"]


def test_a_list_goes_on_over_its_pages(instance: Instance, api: Api):
    echo = instance.model("echo")
    made = [api.create(echo, text=str(number))["id"] for number in range(PAGE_SIZE + 1)]
    listed = answer_of(instance, "list.mjs")
    assert listed["pages"] > 1
    assert listed["ids"][: len(made)] == made[::-1]


def test_an_unknown_model_throws_an_error_that_says_so(instance: Instance):
    answer = answer_of(instance, "run.mjs", "pinion/nobody", {})
    assert answer["status"] == 404


def test_what_is_canceled_or_aborted_ends(instance: Instance):
    ends = answer_of(instance, "cancel.mjs", instance.model("counts_slowly"), {"to": 1000, "seconds": 0.1})
    assert ends == [True, "canceled", "canceled"]


def test_a_file_goes_in_and_comes_back_the_same(instance: Instance):
    answer = answer_of(instance, "files.mjs", instance.model("copies_a_file"), "grüße\r\n--\r\n")
    assert answer == {"name": "letter.txt", "type": "text/plain; charset=utf-8", "text": "grüße\r\n--\r\n"}


def test_an_upload_is_read_listed_and_deleted(instance: Instance):
    shown = {"name": "a.txt", "metadata": {"a": 1}, "content": "grüße"}
    answer = answer_of(instance, "uploads.mjs", "grüße")
    assert answer == {**shown, "before": True, "isDeleted": True, "after": False}


@pytest.mark.parametrize("path", ["", "/v1"])
def test_the_address_may_be_written_with_and_without_its_version(instance: Instance, path: str):
    counting = instance.model("counts_slowly")
    answer = answer_of(instance, "once.mjs", instance.address + path, counting, {"to": 1}, f"key of {path}")
    assert answer == {"output": ["1 "]}


def test_webhooks_are_trusted_and_changed_ones_are_not(instance: Instance, api: Api, receiver: Receiver):
    api.create(instance.model("counts_slowly"), to=2, seconds=0.1, more={"webhook": receiver.url})
    deliveries = receiver.wait_for(lambda came: came and came[-1].json["status"] in TERMINAL)
    answer = answer_of(instance, "verify.mjs", stdin=json.dumps([as_arguments(each) for each in deliveries]))
    assert answer == {"trusted": [True] * len(deliveries), "changed": [False] * len(deliveries)}


def as_arguments(delivery: Delivery) -> dict[str, Any]:
    names = {name: delivery.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    return {**names, "body": delivery.body.decode()}
