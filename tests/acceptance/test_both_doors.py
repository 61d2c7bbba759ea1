"""Models as people write them, unmodified, through the service and through `pinion serve`: the same answer from both.

What is said of a model's schema and of each kind of value alone stands in the tests of the runtime.
"""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.instance import PREDICTORS, Api, Instance, on_one_backend
from tests.served import serving

TEXT_FILE = "data:text/plain;base64,aGFsbG8="


def own_code(predictor: str) -> str:
    return (PREDICTORS / predictor / "predict.py").read_text()


CASES: list[tuple[str, dict[str, Any], Any]] = [
    (
        "returns_records",
        {},
        {
            "file": own_code("returns_records"),
            "segments": [{"start": 1.5, "text": ""}, {"start": 2.0, "text": 7}],
            "tags": ['{"start":1.5,"text":""}'],
            "note": None,
            "count": 0,
        },
    ),
    ("takes_a_file_or_a_text", {"either": "hallo"}, ["str hallo", "int 3"]),
    ("takes_a_file_or_a_text", {"either": "/etc/hostname", "several": 4}, ["str /etc/hostname", "int 4"]),
    ("takes_a_file_or_a_text", {"either": TEXT_FILE, "several": "data:,a"}, ["file hallo", "file a"]),
    ("takes_a_file_or_a_text", {"either": "", "several": ["data:,a", TEXT_FILE]}, ["str ", "file a", "file hallo"]),
    ("chooses_by_members", {}, "short on 1"),
    ("chooses_by_members", {"Style": "long", "Status": "off", "Output": 2}, "long off 2"),
    ("names_a_file_twice", {}, {"first": "once", "second": ["once"]}),
]
every_case = pytest.mark.parametrize(
    ("predictor", "given", "expected"), CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)


@every_case
@on_one_backend
def test_the_service_answers(
    instance: Instance, api: Api, predictor: str, given: dict[str, Any], expected: Any
) -> None:
    done = api.create(instance.model(predictor), wait=True, **given)
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert with_contents(done["output"], lambda url: httpx.get(url).text) == expected


@every_case
def test_the_server_of_one_directory_answers(predictor: str, given: dict[str, Any], expected: Any) -> None:
    with serving(predictor) as served:
        done = served.predict({"input": given}).json()
        assert (done["status"], done["error"]) == ("succeeded", None)
        assert with_contents(done["output"], decoded) == expected


def with_contents(value: Any, read: Callable[[str], str]) -> Any:
    """An output with the texts that its files hold in place of their addresses."""
    if isinstance(value, dict):
        return {key: with_contents(each, read) for key, each in value.items()}
    if isinstance(value, list):
        return [with_contents(each, read) for each in value]
    return read(value) if isinstance(value, str) and value.startswith(("http:", "data:")) else value


def decoded(url: str) -> str:
    return base64.b64decode(url.partition(",")[2]).decode()
