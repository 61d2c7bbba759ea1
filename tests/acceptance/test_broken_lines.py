"""The connection breaks when a create has arrived and its answer has not: the client asks again, and gets that one."""

import uuid
from typing import Any

import httpx
import pytest

from tests.acceptance import javascript_client, python_clients
from tests.acceptance.python_clients import called
from tests.cutting_proxy import CuttingProxy, cutting
from tests.instance import Api, Instance


@pytest.fixture
def counting(instance: Instance) -> str:
    return instance.model("counts_slowly")


def found(api: Api, counting: str, line: CuttingProxy, before: set[str]) -> list[Any]:
    """The predictions that a test has made, whose line must have been cut."""
    assert line.made_cuts == line.cuts
    listed = api.get("/predictions", params={"version": counting.partition(":")[2]}).json()["results"]
    return [entry for entry in listed if entry["id"] not in before]


def known(api: Api, counting: str) -> set[str]:
    listed = api.get("/predictions", params={"version": counting.partition(":")[2]}).json()["results"]
    return {entry["id"] for entry in listed}


@pytest.mark.parametrize("cuts", [1, 2])
def test_the_python_client_2_makes_one_prediction(instance: Instance, api: Api, counting: str, cuts: int):
    python_clients.require("replicate-2")
    before = known(api, counting)
    with cutting(instance.address, 0, cuts, of_answers=True) as line:
        answer = called(instance, "run", counting, {"to": 3}, base_url=f"{line.address}/v1")
        [made] = found(api, counting, line, before)
    assert answer == {"answer": ["1 ", "2 ", "3 "]}
    assert made["status"] == "succeeded"


def test_the_javascript_client_with_a_key_makes_one_prediction(instance: Instance, api: Api, counting: str):
    javascript_client.require()
    before = known(api, counting)
    with cutting(instance.address, 0, 2, of_answers=True) as line:
        answer = javascript_client.answer_of(
            instance, "once.mjs", f"{line.address}/v1", counting, {"to": 3}, uuid.uuid4().hex
        )
        [made] = found(api, counting, line, before)
    assert answer == {"output": ["1 ", "2 ", "3 "]}
    assert made["status"] == "succeeded"


def test_a_create_with_a_key_can_be_repeated_by_hand(instance: Instance, api: Api, counting: str):
    before = known(api, counting)
    headers = {**dict(api.headers), "Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait"}
    with cutting(instance.address, 0, 1, of_answers=True) as line, httpx.Client(headers=headers, timeout=60) as client:
        body = {"version": counting, "input": {"to": 2}}
        with pytest.raises(httpx.TransportError):
            client.post(f"{line.address}/v1/predictions", json=body)
        answer = client.post(f"{line.address}/v1/predictions", json=body)
        [made] = found(api, counting, line, before)
    assert (answer.status_code, answer.json()["id"], answer.json()["output"]) == (201, made["id"], ["1 ", "2 "])


def test_a_create_cut_before_it_arrived_whole_makes_nothing(instance: Instance, api: Api, counting: str):
    before = known(api, counting)
    with cutting(instance.address, 500, 1) as line, httpx.Client(headers=dict(api.headers), timeout=60) as client:
        body = {"version": counting, "input": {"to": 2, "ignored": "x" * 1000}}
        with pytest.raises(httpx.TransportError):
            client.post(f"{line.address}/v1/predictions", json=body)
        assert found(api, counting, line, before) == []
