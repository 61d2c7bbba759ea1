"""A whole Pinion as one person runs it, with nothing set: its models behind a veil, and everything else as ever."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.isolation import Level, find_obstacle
from tests.instance import PREDICTORS, TERMINAL, Api, Instance, running, until

GONE = "FileNotFoundError: No such file or directory"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    if obstacle := find_obstacle(Level.VEIL):
        pytest.skip(obstacle)
    with running("embedded", isolation="auto") as instance:
        yield instance


def tried(instance: Instance, api: Api, what: str, at: str | Path) -> Any:
    """What a model says of its attempt."""
    prediction = api.create(instance.model("breaks_out"), wait=True, what=what, at=str(at))
    assert prediction["status"] == "succeeded", prediction["error"]
    return prediction["output"]


def test_nothing_that_the_service_keeps_is_in_reach(instance: Instance, api: Api):
    kept = ["token", "encryption-key", "pinion.db", "valkey.sock", "lock", "logs/api.log"]
    assert all((instance.home / name).exists() for name in kept)
    for name in kept:
        assert tried(instance, api, "read", instance.home / name) == GONE
        assert tried(instance, api, "remove", instance.home / name) == GONE
    assert tried(instance, api, "connect", instance.home / "valkey.sock") == GONE
    own = instance.model("breaks_out").rpartition(":")[2]
    assert tried(instance, api, "look", instance.home / "versions") == [own]
    for service in instance.processes():
        assert tried(instance, api, "read", f"/proc/{service.pid}/environ") == GONE


def test_the_machine_and_its_network_are_there(instance: Instance, api: Api):
    assert tried(instance, api, "connect", instance.address.removeprefix("http://")) == "connected"
    assert "home" in tried(instance, api, "look", instance.folder)


def test_the_doctor_says_so(instance: Instance):
    assert "models run behind a veil that hides PINION_HOME from them" in instance.command("doctor").stdout


def test_files_go_in_and_out(instance: Instance, api: Api):
    given = f"data:text/plain;base64,{base64.b64encode(b'meow').decode()}"
    prediction = api.create(instance.model("copies_a_file"), wait=True, file=given)
    assert prediction["error"] is None
    assert api.get(prediction["output"]).content == b"meow"


def test_a_linked_folder_is_served_where_it_lies(instance: Instance, api: Api, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text("import os\n\n\ndef predict() -> str:\n    return os.getcwd()\n")
    pushed = instance.command("push", "--link", tmp_path, "pinion/linked")
    assert pushed.returncode == 0, pushed.stderr
    assert api.create(pushed.stdout.splitlines()[0], wait=True)["output"] == str(tmp_path)


def test_the_bundled_model_runs(instance: Instance):
    said = instance.command("run", "pinion/tiny-t5", "-i", "prompt=spell: 21")
    assert said.stdout.strip() == "twenty-one", said.stderr + instance.logs()


def test_a_training_makes_a_version_that_runs(instance: Instance, api: Api):
    owner_and_name, _, version = instance.model("learns").partition(":")
    instance.push(PREDICTORS / "echo", "pinion/tuned")
    wanted = {"input": {"word": "patience"}, "destination": "pinion/tuned"}
    training = api.post(f"/models/{owner_and_name}/versions/{version}/trainings", json=wanted).json()
    ended = until(lambda: _ended(api, training["id"]), 60)
    assert ended["status"] == "succeeded", ended["error"]
    assert api.create(ended["output"]["version"], wait=True)["output"] == "I learned patience"


def _ended(api: Api, training_id: str) -> Any:
    training = api.get(f"/trainings/{training_id}").json()
    return training if training["status"] in TERMINAL else None


def test_a_cancel_ends_a_sleep_in_c(instance: Instance, api: Api):
    prediction = api.create(instance.model("sleeps_in_c"), seconds=600)
    api.until_status(prediction["id"], "processing")
    api.post(f"/predictions/{prediction['id']}/cancel")
    api.until_status(prediction["id"], "canceled")


def test_how_a_process_died_is_told(instance: Instance, api: Api):
    prediction = api.create(instance.model("kills_itself"), wait=True)
    assert prediction["status"] == "failed"
    assert prediction["error"].startswith("The model process was killed by signal 9 (SIGKILL)")
