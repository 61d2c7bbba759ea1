"""`pinion push` of models with packages, large weights and mistakes, against a running instance."""

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cutting_proxy import cutting
from tests.instance import PROJECT, Api, Instance, on_one_backend, until
from tests.model_processes import PREDICTORS
from tests.pythons import minor_of, other_pythons
from tests.wheels import make_wheel

ECHO = "def predict(text: str) -> str:\n    return text\n"
USES_PACKAGE = "import localpkg\n\n\ndef predict() -> str:\n    return localpkg.VERSION\n"
TELLS_ITS_PYTHON = """
import sys
from typing import Iterator

import localpkg
from cog import Path


def predict(source: Path) -> Iterator[str]:
    yield f"{sys.version_info.major}.{sys.version_info.minor}"
    yield localpkg.VERSION + source.read_text()
"""


def model(folder: Path, predictor: str = ECHO, build: str = "{}", **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cog.yaml").write_text(f"predict: predict.py:predict\nbuild: {build}\n")
    (folder / "predict.py").write_text(predictor)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_model_with_packages_brings_them_and_runs(instance: Instance, api: Api, tmp_path: Path):
    make_wheel(tmp_path / "wheels", "localpkg", "1.5")
    packages = ["--no-index", f"--find-links {tmp_path / 'wheels'}", "localpkg", "cog==0.9.4"]
    folder = model(tmp_path / "model", USES_PACKAGE, f"{{python_packages: {packages}, run: [echo hello]}}")
    pushed = instance.command("push", folder, "pinion/with-packages")
    assert pushed.returncode == 0, pushed.stderr
    assert "+ localpkg==1.5" in pushed.stderr
    assert "cog==0.9.4 is left out" in pushed.stderr
    assert "Not run, since no image is built (run, pre_install): echo hello" in pushed.stderr
    assert api.create(pushed.stdout.splitlines()[0], wait=True)["output"] == "1.5"


@on_one_backend
def test_what_init_writes_is_pushed_and_runs_as_it_is(instance: Instance, tmp_path: Path):
    begun = instance.command("init", tmp_path / "My first model")
    assert begun.stdout.splitlines()[-1] == f"Next: pinion push {tmp_path / 'My first model'} pinion/my-first-model"
    assert instance.push(tmp_path / "My first model", "pinion/my-first-model")
    answered = instance.command("run", "pinion/my-first-model", "-i", "name=Ada", "-i", "times=2")
    assert answered.stdout == "Hello Ada, Hello Ada\n", answered.stderr


@on_one_backend
def test_the_doctor_sees_that_all_is_well_while_pinion_runs(instance: Instance):
    port = instance.address.rpartition(":")[2]
    found = instance.command("doctor", PINION_PORT=port)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"Pinion runs at {instance.address}" in found.stdout
    assert "FAIL" not in found.stdout


@on_one_backend
def test_the_log_of_a_build_is_seen_while_it_goes_on(instance: Instance, tmp_path: Path):
    waits = f"import pathlib, time\nprint('importing', flush=True)\nwhile not pathlib.Path({str(tmp_path / 'go')!r})"
    folder = model(tmp_path / "model", f"{waits}.exists():\n    time.sleep(0.01)\n{ECHO}")
    with (tmp_path / "said").open("w") as said:
        command = [PROJECT / "pinion", "push", folder, "pinion/slow"]
        pushing = subprocess.Popen(command, env=instance.environment, stdout=subprocess.DEVNULL, stderr=said)
    until(lambda: "importing" in (tmp_path / "said").read_text())
    assert pushing.poll() is None
    (tmp_path / "go").touch()
    assert pushing.wait(30) == 0


def test_while_a_newer_version_fails_the_older_one_serves(instance: Instance, api: Api, tmp_path: Path):
    folder = model(tmp_path / "model")
    older = instance.push(folder, "pinion/spoiled").partition(":")[2]
    model(folder, build="{python_packages: [--no-index, a-package-nobody-has]}")
    pushed = instance.command("push", folder, "pinion/spoiled")
    assert pushed.returncode == 1
    assert "The model's environment could not be built: " in pushed.stderr
    assert "a-package-nobody-has" in pushed.stderr
    prediction = api.create("pinion/spoiled", wait=True, text="still here")
    assert (prediction["output"], prediction["version"]) == ("still here", older)


@on_one_backend
def test_each_version_keeps_its_own_packages_whatever_becomes_of_later_ones(
    instance: Instance, api: Api, tmp_path: Path
):
    for number in ("1.0", "2.0"):
        make_wheel(tmp_path / "wheels", "localpkg", number)

    def push(number: str) -> "subprocess.CompletedProcess[str]":
        packages = ["--no-index", f"--find-links {tmp_path / 'wheels'}", f"localpkg=={number}"]
        folder = model(tmp_path / "model", USES_PACKAGE, f"{{python_packages: {packages}}}")
        return instance.command("push", folder, "pinion/packages")

    one, two = [push(number).stdout.splitlines()[0] for number in ("1.0", "2.0")]
    before = instance.model_process(one).pid, instance.model_process(two).pid
    assert push("3.0").returncode == 1
    assert [api.create(version, wait=True)["output"] for version in (one, two, "pinion/packages")] == [
        "1.0",
        "2.0",
        "2.0",
    ]
    assert (instance.model_process(one).pid, instance.model_process(two).pid) == before


@on_one_backend
@pytest.mark.parametrize("python", [other_pythons()[0], other_pythons()[-1]])
def test_a_model_runs_on_the_python_it_asks_for(instance: Instance, api: Api, tmp_path: Path, python: Path):
    version = minor_of(python)
    make_wheel(tmp_path / "wheels", "localpkg", "1.5")
    packages = ["--no-index", f"--find-links {tmp_path / 'wheels'}", "localpkg"]
    build = f"{{python_version: '{version}', python_packages: {packages}}}"
    pushed = instance.push(model(tmp_path / "model", TELLS_ITS_PYTHON, build), "pinion/pythons")
    prediction = api.create(pushed, wait=True, source="data:text/plain,!")
    assert prediction["output"] == [version, "1.5!"], prediction["error"]


@on_one_backend
def test_a_wrong_key_in_cog_yaml_is_said_with_the_right_one(instance: Instance, tmp_path: Path):
    pushed = instance.command("push", model(tmp_path / "model", build="{python_packges: []}"), "pinion/misspelled")
    assert pushed.returncode == 1
    assert "`build.python_packges` that Cog does not know. Did you mean `python_packages`?" in pushed.stderr


@on_one_backend
def test_an_upload_that_is_cut_goes_on_where_it_was(instance: Instance, api: Api, tmp_path: Path):
    weights = os.urandom(24 << 20)
    folder = model(tmp_path / "model", weights=weights)
    with cutting(instance.address, cut_after_bytes=10 << 20, cuts=2) as line:
        pushed = instance.command("push", folder, "pinion/cut", "--url", line.address, PINION_API_TOKEN=instance.token)
    assert pushed.returncode == 0, pushed.stderr
    assert line.made_cuts == 2
    assert line.sent_bytes < len(weights) * 1.5
    assert api.create(pushed.stdout.splitlines()[0], wait=True, text="whole")["output"] == "whole"


@on_one_backend
def test_at_a_terminal_a_bar_shows_how_far_an_upload_is(instance: Instance, tmp_path: Path):
    folder = model(tmp_path / "model", weights=os.urandom(16 << 20))
    ours, theirs = pty.openpty()
    command = [PROJECT / "pinion", "push", folder, "pinion/barred"]
    with subprocess.Popen(command, env=instance.environment, stdout=subprocess.DEVNULL, stderr=theirs) as pushing:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the terminal is gone once the command is
            while piece := os.read(ours, 4096):
                shown += piece
        assert pushing.wait(30) == 0
    os.close(ours)
    assert b"Sending" in shown
    assert b"MB" in shown


@on_one_backend
def test_what_the_server_knows_is_not_sent_again(instance: Instance, tmp_path: Path):
    weights = os.urandom(8 << 20)
    folder = model(tmp_path / "model", weights=weights)
    instance.push(folder, "pinion/known")
    (folder / "predict.py").write_text(f"# changed\n{ECHO}")
    with cutting(instance.address) as line:
        pushed = instance.command(
            "push", folder, "pinion/known", "--url", line.address, PINION_API_TOKEN=instance.token
        )
    assert pushed.returncode == 0, pushed.stderr
    assert line.sent_bytes < 100_000


@on_one_backend
def test_a_linked_folder_is_served_without_a_copy(instance: Instance, api: Api, tmp_path: Path):
    folder = model(tmp_path / "model", weights=b"x" * 1000)
    (folder / "predict.py").write_text("import os\n\n\ndef predict() -> str:\n    return os.getcwd()\n")
    pushed = instance.command("push", "--link", folder, "pinion/linked")
    assert pushed.returncode == 0, pushed.stderr
    assert api.create(pushed.stdout.splitlines()[0], wait=True)["output"] == str(folder)


@on_one_backend
def test_what_dockerignore_names_is_not_sent(instance: Instance, tmp_path: Path):
    folder = model(tmp_path / "model", data=b"secret", kept=b"kept")
    (folder / ".dockerignore").write_text("*\n!predict.py\n!kept\n")
    version = instance.push(folder, "pinion/ignoring").partition(":")[2]
    stored = instance.home / "versions" / version
    assert {path.name for path in stored.iterdir() if path.is_file()} == {"cog.yaml", "predict.py", "kept"}


@on_one_backend
@pytest.mark.parametrize("options", [(), ("--link",)])
def test_a_folder_with_links_and_an_environment_is_pushed_as_it_is(
    instance: Instance, api: Api, tmp_path: Path, options: tuple[str, ...]
):
    folder = model(tmp_path / "model")
    (folder / "predict.py").write_text("def predict() -> str:\n    return open('models/latest/a').read()\n")
    (folder / "models" / "v1").mkdir(parents=True)
    (folder / "models" / "v1" / "a").write_text("weights")
    (folder / "models" / "latest").symlink_to("v1")
    (folder / "gone").symlink_to("nowhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    pushed = instance.command("push", *options, folder, f"pinion/with-links{len(options)}")
    assert pushed.returncode == 0, pushed.stderr
    assert "gone is a link to nowhere: left out." in pushed.stderr
    assert api.create(pushed.stdout.splitlines()[0], wait=True)["output"] == "weights"


@on_one_backend
def test_a_push_does_not_wait_for_setup_whose_failure_the_first_prediction_tells(instance: Instance, api: Api):
    pushed = instance.command("push", PREDICTORS / "fails_in_setup", "pinion/fails-in-setup")
    assert pushed.returncode == 0, pushed.stderr
    ended = api.create(pushed.stdout.splitlines()[0], wait=True)
    assert (ended["status"], ended["output"]) == ("failed", None)
    assert "could not be set up: the weights are missing" in ended["error"]
    until(lambda: "pinion/fails-in-setup failed" in instance.command("ps").stdout)
