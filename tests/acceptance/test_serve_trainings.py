"""`pinion serve`: trainings of the real command on real models, each in a process of its own."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.instance import PREDICTORS
from tests.served import Served, serving

CORRECT = {"input": {"word": "hello"}}


@pytest.fixture(scope="module")
def learns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Trains where it is served."""
    folder = tmp_path_factory.mktemp("models") / "learns"
    shutil.copytree(PREDICTORS / "learns", folder)
    with serving(folder) as served:
        yield served


def train(served: Served, body: Any, **headers: str) -> Any:
    return served.client.post("/trainings", json=body, headers=headers)


def test_a_training_is_answered_with_what_it_made(learns: Served) -> None:
    answer = train(learns, {"id": "t1", "input": {"word": "hello", "unknown": 1}})
    body = answer.json()
    assert (answer.status_code, body["status"], body["id"], body["error"]) == (200, "succeeded", "t1", None)
    assert (body["input"], body["logs"]) == ({"word": "hello"}, "learning hello\n")
    assert base64.b64decode(body["output"]["weights"].partition(",")[2]) == b"hello"
    assert body["metrics"]["predict_time"] > 0
    assert learns.predict({"input": {}}).json()["status"] == "succeeded"


def test_what_is_wrong_with_its_input_is_said(learns: Served) -> None:
    answer = train(learns, {"input": {"forgets": "maybe"}, "webhook": "nowhere"})
    assert answer.status_code == 422
    where = {tuple(detail["loc"]) for detail in answer.json()["detail"]}
    assert where == {("body", "input", "word"), ("body", "input", "forgets"), ("body", "webhook")}
    assert learns.client.put("/trainings/a", json={"id": "b", **CORRECT}).status_code == 422
    assert train(learns, {"input": {"word": "x", "forgets": "yes"}}).json()["input"]["forgets"] is True


def test_a_training_that_fails_says_why(learns: Served) -> None:
    body = train(learns, {"input": {"word": "quantum", "fails": True}}).json()
    assert (body["status"], body["error"], body["output"]) == ("failed", "quantum is too hard", None)
    assert body["logs"].startswith("learning quantum\n")
    assert "ValueError" in body["logs"]


def test_trainings_stand_in_the_document_and_at_the_root(learns: Served) -> None:
    document = learns.client.get("/openapi.json").json()
    assert {"/trainings", "/trainings/{training_id}", "/trainings/{training_id}/cancel"} <= document["paths"].keys()
    assert document["components"]["schemas"]["TrainingInput"]["required"] == ["word"]
    assert learns.client.get("/").json()["trainings_cancel_url"] == "/trainings/{training_id}/cancel"


def test_one_runs_at_a_time_beside_predictions_and_can_be_canceled(
    learns: Served, tmp_path: Path, receiver: Any
) -> None:
    body = {"input": {"word": "long", "waits_for": str(tmp_path / "never")}, "webhook": receiver.url}
    first = learns.client.put("/trainings/t2", json=body, headers={"Prefer": "respond-async"})
    assert (first.status_code, first.json()["status"]) == (202, "processing")
    receiver.wait_for(lambda deliveries: any("learning long" in each.json["logs"] for each in deliveries))
    assert learns.client.put("/trainings/t2", json=body).json()["started_at"] == first.json()["started_at"]
    refused = train(learns, CORRECT)
    assert (refused.status_code, refused.json()["detail"]) == (409, "Already running a training")
    assert learns.health()["status"] == "READY"
    assert learns.predict({"input": {}}).json()["output"].startswith("I learned")
    assert learns.client.post("/predictions/t2/cancel").status_code == 404, "it is no prediction"
    assert learns.client.post("/trainings/t2/cancel").status_code == 200
    receiver.wait_for(lambda deliveries: receiver.completed("t2"))
    [completed] = receiver.completed("t2")
    assert (completed.json["status"], completed.json["logs"]) == ("canceled", "learning long\n")
    assert receiver.deliveries[0].json["status"] == "processing"
    assert learns.client.post("/trainings/t2/cancel").status_code == 404
    assert train(learns, CORRECT).json()["status"] == "succeeded"


def test_a_process_that_dies_costs_its_training_alone(learns: Served, tmp_path: Path, receiver: Any) -> None:
    predictor = learns.model_process().pid
    body = {"id": "t3", "input": {"word": "dies", "waits_for": str(tmp_path / "never")}, "webhook": receiver.url}
    assert train(learns, body, Prefer="respond-async").status_code == 202
    receiver.wait_for(lambda deliveries: any("learning" in each.json["logs"] for each in deliveries))
    learns.training_process(predictor).kill()
    receiver.wait_for(lambda deliveries: receiver.completed("t3"))
    assert "killed by signal 9" in receiver.completed("t3")[0].json["error"]
    assert learns.model_process().pid == predictor
    assert learns.health()["status"] == "READY"


TRAINER = """
import os, time
from cog import BasePredictor, Path, Secret, current_scope

class Predictor(BasePredictor):
    def setup(self):
        if not os.path.exists("weights.txt"):
            raise RuntimeError("train me first")
    def predict(self) -> str:
        return open("weights.txt").read()

class Trainer:
    def setup(self):
        print("getting ready")
        while os.path.exists("hold"):
            time.sleep(0.005)
        if os.path.exists("broken"):
            raise RuntimeError("out of order")
    def train(self, data: Path, token: Secret = None, steps: int = 1) -> Path:
        scope = current_scope()
        for step in range(steps):
            scope.record_metric("loss", 1 / (step + 1))
        scope.record_metric("steps", steps)
        Path("weights.txt").write_text(data.read_text().upper())
        return Path("weights.txt")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "predict.py").write_text(TRAINER)
    said = {"build": {"python_version": "3.11"}, "predict": "predict.py:Predictor", "train": "predict.py:Trainer"}
    (model / "cog.yaml").write_text(yaml.safe_dump(said))
    return model


def test_a_model_without_weights_can_be_trained_and_then_serves(folder: Path) -> None:
    with serving(folder, wait=False) as served:
        served.wait_until("SETUP_FAILED")
        body = train(served, {"input": {"data": "data:,words", "token": "sesame", "steps": 4}}).json()
        assert (body["status"], body["error"]) == ("succeeded", None)
        assert (body["metrics"]["loss"], body["metrics"]["steps"]) == (0.25, 4)
        assert body["input"] == {"data": "data:,words", "token": "**********", "steps": 4}
        assert body["logs"] == "getting ready\n"
        assert base64.b64decode(body["output"].partition(",")[2]) == b"WORDS"
        unreachable = train(served, {"input": {"data": "http://127.0.0.1:1/nothing"}}).json()
        assert (unreachable["status"], "could not download input.data" in unreachable["error"]) == ("failed", True)
    with serving(folder) as served:
        assert served.predict({}).json()["output"] == "WORDS", "what train() leaves in the folder stays there"


def test_a_training_is_canceled_while_it_is_set_up(folder: Path, receiver: Any) -> None:
    (folder / "weights.txt").write_text("old")
    (folder / "hold").touch()
    with serving(folder) as served:
        body = {"id": "t4", "input": {"data": "data:,words"}, "webhook": receiver.url}
        assert train(served, body, Prefer="respond-async").status_code == 202
        receiver.wait_for(lambda deliveries: any(each.json["logs"] == "getting ready\n" for each in deliveries))
        assert served.client.post("/trainings/t4/cancel").status_code == 200
        receiver.wait_for(lambda deliveries: receiver.completed("t4"))
        assert receiver.completed("t4")[0].json["status"] == "canceled"
        assert (folder / "weights.txt").read_text() == "old"


def test_a_setup_that_fails_fails_its_training(folder: Path) -> None:
    (folder / "weights.txt").write_text("old")
    (folder / "broken").touch()
    with serving(folder) as served:
        body = train(served, {"input": {"data": "data:,words"}}).json()
        assert (body["status"], body["error"]) == ("failed", "The training could not be set up: out of order")
        assert body["logs"].startswith("getting ready\n")
        assert served.predict({}).json()["output"] == "old"
