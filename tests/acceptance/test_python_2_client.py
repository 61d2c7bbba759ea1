"""Replicate's Python client 2.x, pointed at Pinion and used as its documentation shows."""

from pathlib import Path

import pytest

from tests.acceptance import python_clients
from tests.acceptance.python_clients import called
from tests.instance import PREDICTORS, Api, Instance, on_one_backend

pytestmark = on_one_backend
TINY_T5 = "pinion/tiny-t5"
PAGE_SIZE = 100
NUMBER = "four thousand two hundred seventeen"


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    python_clients.require("replicate-2")


@pytest.fixture
def counting(instance: Instance) -> str:
    return instance.model("counts_slowly")


def test_run_answers_a_number_in_words(instance: Instance):
    assert "".join(called(instance, "run", TINY_T5, {"prompt": "spell: 4217"})["answer"]) == NUMBER


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_address_may_be_written_with_and_without_its_version(instance: Instance, counting: str, suffix: str):
    answer = called(instance, "run", counting, {"to": 1}, base_url=instance.address + suffix)
    assert answer == {"answer": ["1 "]}


@pytest.mark.parametrize("wait", [True, False, 1, 60])
def test_run_of_a_named_version_gives_all_pieces_however_long_it_waits(instance: Instance, counting: str, wait: int):
    assert called(instance, "run", counting, {"to": 3, "seconds": 0.5}, wait=wait) == {"answer": ["1 ", "2 ", "3 "]}


def test_use_makes_a_function_of_a_model(instance: Instance):
    assert called(instance, "use", TINY_T5, {"prompt": "spell: 4217"}) == {"answer": NUMBER}


@pytest.mark.parametrize("name", ["use_streaming", "stream"])
def test_the_pieces_of_a_stream_are_the_output(instance: Instance, name: str):
    pieces = called(instance, name, TINY_T5, {"prompt": "count: from 97 to 105"})["answer"]
    assert "".join(pieces).startswith("ninety-seven, ninety-eight, ninety-nine, one hundred, one hundred one")


def test_a_prediction_is_created_read_waited_for_canceled_too_late_and_listed(instance: Instance, counting: str):
    answer = called(instance, "predictions", counting.partition(":")[2], {"to": 3, "seconds": 0.1})["answer"]
    assert answer["created"]["status"] == "starting"
    assert answer["found"]["id"] == answer["created"]["id"]
    assert (answer["ended"]["status"], answer["ended"]["output"]) == ("succeeded", ["1 ", "2 ", "3 "])
    assert answer["late"] == answer["ended"]
    assert answer["is_listed"]


def test_a_list_goes_on_over_its_pages(instance: Instance, api: Api):
    echo = instance.model("echo")
    made = [api.create(echo, text=str(number))["id"] for number in range(PAGE_SIZE + 1)]
    assert called(instance, "listed")["answer"][: len(made)] == made[::-1]


def test_what_is_canceled_ends(instance: Instance, counting: str):
    answer = called(instance, "cancel", counting.partition(":")[2], {"to": 1000, "seconds": 0.1})
    assert answer == {"answer": ["starting", "canceled"]}


def test_what_the_model_raised_is_raised(instance: Instance):
    raised = called(instance, "run", instance.model("raises"), {})
    assert raised["raised"] == "ModelError"
    assert "out of cheese" in raised["message"]


def test_a_wrong_input_raises_an_error_that_names_the_field(instance: Instance, counting: str):
    raised = called(instance, "run", counting, {"to": "many"})
    assert raised["raised"] == "UnprocessableEntityError"
    assert "input.to" in raised["message"]


def test_an_unknown_model_raises_an_error_that_says_so(instance: Instance):
    assert called(instance, "run", "pinion/nobody", {})["raised"] == "NotFoundError"


def test_an_upload_is_read_listed_and_deleted(instance: Instance):
    shown = {"name": "a.txt", "type": "text/plain", "metadata": {"a": "1"}, "content": "grüße"}
    assert called(instance, "files", "grüße") == {"answer": {**shown, "is_listed": True, "is_deleted": True}}


def test_a_file_goes_in_and_comes_back_the_same(instance: Instance):
    text = "grüße\r\n--\r\n"
    assert called(instance, "file_in_and_out", instance.model("copies_a_file"), text) == {"answer": text}


def test_a_deployment_is_made_changed_run_and_stopped(instance: Instance, counting: str):
    model, _, version = counting.partition(":")
    answer = called(instance, "deployments", "python-2", model, version, {"to": 2})["answer"]
    assert (answer["release"], answer["output"]) == (2, ["1 ", "2 "])
    assert answer["found"]
    assert answer["is_listed"]
    assert "cpu" in answer["hardware"]


def test_a_training_makes_a_version_and_another_is_canceled(instance: Instance, tmp_path: Path):
    tuned = instance.push(PREDICTORS / "echo", "pinion/tuned-by-python-2").partition(":")[0]
    endless = {"word": "care", "waits_for": str(tmp_path / "never")}
    answer = called(instance, "trainings", instance.model("learns"), tuned, {"word": "patience"}, endless)["answer"]
    assert answer["version"].startswith(f"{tuned}:")
    del answer["version"]
    assert answer == {"status": "succeeded", "canceled": "canceled", "is_listed": True}
