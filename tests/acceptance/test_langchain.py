"""LangChain's Replicate LLM, pointed at Pinion by the environment alone.

It polls, takes the first property of the schema for the prompt, and cancels at a stop sequence.
"""

import json
from typing import Any

import pytest

from tests.acceptance import python_clients
from tests.instance import Api, Instance, on_one_backend

pytestmark = on_one_backend
TINY_T5 = "pinion/tiny-t5"
COUNTED = "ninety-seven, ninety-eight, ninety-nine, one hundred"


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    python_clients.require("langchain")


def said(instance: Instance, model: str, prompt: str, **options: Any) -> Any:
    return python_clients.answer_of(instance, "langchain", "langchain_llm.py", model, prompt, options)


def test_invoke_gives_the_whole_text(instance: Instance):
    assert said(instance, TINY_T5, "spell: 4217") == {"text": "four thousand two hundred seventeen"}


def test_a_version_can_be_named_and_options_reach_the_model(instance: Instance, api: Api):
    version = api.get(f"/models/{TINY_T5}").json()["latest_version"]["id"]
    answer = said(instance, f"{TINY_T5}:{version}", "spell: 4217", model_kwargs={"max_new_tokens": 3})
    assert "four thousand two hundred seventeen".startswith(answer["text"].strip())
    assert len(answer["text"]) < 20


def test_streaming_gives_the_same_text_in_pieces(instance: Instance):
    pieces = said(instance, TINY_T5, "count: from 97 to 105", streaming=True)["pieces"]
    assert "".join(pieces).startswith(COUNTED)
    assert len(pieces) > 5


def test_a_stop_sequence_cancels_what_goes_on(instance: Instance, api: Api):
    counting = instance.model("counts_slowly")
    options = {"streaming": True, "stop": ["3 "], "model_kwargs": {"to": 300, "seconds": 0.1}}
    assert "".join(said(instance, counting, json.dumps(300), **options)["pieces"]).startswith("1 2 ")
    newest = api.get("/predictions").json()["results"][0]
    assert api.until_status(newest["id"], "canceled", "succeeded")["status"] == "canceled"


def test_what_the_model_raised_is_raised(instance: Instance):
    assert said(instance, instance.model("raises"), "out of tokens")["error"] == "out of tokens"
