"""Trainings on a whole Pinion, with Replicate's clients and with the command line."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import replicate
from replicate.training import Training

from tests.acceptance import javascript_client
from tests.instance import PREDICTORS, TERMINAL, Api, Instance, until

LEARNS = PREDICTORS / "learns"


@pytest.fixture
def base(instance: Instance) -> str:
    """owner/name:version of a model that learns a word."""
    return instance.model(LEARNS)


@pytest.fixture
def client(instance: Instance) -> Iterator[replicate.Client]:
    client = replicate.Client(api_token=instance.token, base_url=instance.address)
    with closing(client._client):
        yield client


def destination(instance: Instance, name: str) -> str:
    """A model to be trained into, as a push makes it."""
    instance.push(PREDICTORS / "echo", f"pinion/{name}")
    return f"pinion/{name}"


def test_the_python_client_trains_a_model_and_runs_what_has_become_of_it(
    instance: Instance, client: replicate.Client, base: str
):
    tuned = destination(instance, "tuned-by-python")
    training = client.trainings.create(version=base, input={"word": "patience"}, destination=tuned)
    assert (training.status, training.destination) == ("starting", tuned)

    def look() -> Training | None:
        training.reload()
        return training if training.status in TERMINAL else None

    until(look, 30)
    assert training.status == "succeeded", training.error
    assert training.logs is not None
    assert "learning patience" in training.logs
    assert training.output is not None
    assert client.run(training.output["version"], input={}) == "I learned patience"
    assert client.run(tuned, input={}) == "I learned patience"
    assert client.run(base, input={}) == "I learned nothing"
    assert client.trainings.get(training.id).output == training.output
    assert training.id in [each.id for each in client.trainings.list()]


def test_the_python_client_cancels_a_training(
    instance: Instance, client: replicate.Client, api: Api, base: str, tmp_path: Path
):
    tuned = destination(instance, "tuned-never")
    endless = {"word": "patience", "waits_for": str(tmp_path / "never")}
    training = client.trainings.create(version=base, input=endless, destination=tuned)
    until(lambda: "learning" in api.get(f"/trainings/{training.id}").json()["logs"], 20)
    training.cancel()
    assert training.status == "canceled"
    assert client.trainings.cancel(training.id).status == "canceled"


def test_the_javascript_client_trains_cancels_and_lists(instance: Instance, base: str, tmp_path: Path):
    javascript_client.require()
    tuned = destination(instance, "tuned-by-javascript")
    endless = {"word": "care", "waits_for": str(tmp_path / "never")}
    told = javascript_client.answer_of(instance, "trainings.mjs", base, tuned, {"word": "patience"}, endless)
    assert told["created"]["status"] == "starting"
    assert told["ended"]["status"] == "succeeded", told["ended"]["error"]
    assert told["ended"]["output"]["version"].startswith(f"{tuned}:")
    assert told["canceled"]["status"] == "canceled"
    assert told["isListed"]


def test_pinion_train_shows_the_logs_and_names_the_version(instance: Instance, base: str, tmp_path: Path):
    tuned = destination(instance, "tuned-by-hand")
    done = instance.command("train", base, "--destination", tuned, "-i", "word=patience")
    assert done.returncode == 0, done.stderr
    assert "learning patience" in done.stderr
    version = done.stdout.strip()
    assert version.startswith(f"{tuned}:")
    assert instance.command("run", version).stdout.strip() == "I learned patience"
    failed = instance.command("train", base, "--destination", tuned, "-i", "word=patience", "-i", "fails=true")
    assert failed.returncode == 1
    assert "patience is too hard" in failed.stderr
    nowhere = instance.command("train", base, "--destination", "pinion/nowhere", "-i", "word=patience")
    assert "The destination must be a model of your own" in nowhere.stderr
