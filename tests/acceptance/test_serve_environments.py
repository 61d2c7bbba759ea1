"""`pinion serve` and cog.yaml: the model gets the Python, packages and weights it asks for, or a sentence says why not.

Packages are made on the spot, so that no network is needed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.file_server import FileServer
from tests.instance import PROJECT, until
from tests.pythons import minor_of, other_pythons
from tests.served import serving
from tests.wheels import make_wheel

OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PREDICTOR = """
import sys

import localpkg


def predict() -> str:
    return f"{localpkg.VERSION} on {sys.version_info.major}.{sys.version_info.minor}"
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that wants a package of its own."""
    folder = tmp_path / "model"
    make_wheel(folder / "wheels", "localpkg", "1.0")
    (folder / "predict.py").write_text(PREDICTOR)
    want(folder)
    return folder


def want(folder: Path, python: str = OWN_VERSION, package: str = "localpkg") -> None:
    lines = ["--no-index", "--find-links wheels", package]
    build = f"{{python_version: '{python}', python_packages: {lines}}}"
    (folder / "cog.yaml").write_text(f"predict: predict.py:predict\nbuild: {build}\n")


def test_an_environment_is_built_once_and_its_log_is_on_the_terminal(model: Path, tmp_path: Path) -> None:
    home = {"PINION_HOME": str(tmp_path / "home")}
    with serving(model, **home) as served:
        assert served.predict().json()["output"] == f"1.0 on {OWN_VERSION}"
        assert f"Making an environment for Python {OWN_VERSION}" in served.log.read_text()
        assert "+ localpkg==1.0" in served.log.read_text()
    with serving(model, **home) as served:
        assert served.predict().json()["output"] == f"1.0 on {OWN_VERSION}"
        assert "which is there already" in served.log.read_text()


@pytest.mark.parametrize("python", other_pythons())
def test_the_python_that_is_asked_for_runs_the_model(model: Path, tmp_path: Path, python: Path) -> None:
    version = minor_of(python)
    want(model, python=version)
    with serving(model, PINION_HOME=str(tmp_path / "home"), PATH=f"{python.parent}:{os.environ['PATH']}") as served:
        assert served.predict().json()["output"] == f"1.0 on {version}"


def test_while_the_environment_is_built_the_model_is_starting(model: Path, tmp_path: Path) -> None:
    slow = model / "slow"
    slow.mkdir()
    waits = "import pathlib, time\nwhile not pathlib.Path(__file__).with_name('go').exists(): time.sleep(0.01)\n"
    (slow / "backend.py").write_text(f"{waits}raise SystemExit('no package today')\n")
    (slow / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    want(model, package="./slow")
    with serving(model, wait=False, PINION_HOME=str(tmp_path / "home")) as served:
        until(lambda: "Making an environment" in served.log.read_text())
        health = served.health()
        assert (health["status"], health["setup"]["status"]) == ("STARTING", "starting")
        assert served.predict().status_code == 503
        (slow / "go").touch()
        assert served.process.wait(60) == 1
        assert "pinion: The model's environment could not be built" in served.log.read_text()


@pytest.mark.parametrize(
    ("python", "package", "reason"),
    [
        (OWN_VERSION, "localpkg==9.9", "could not be built: .*localpkg==9.9"),
        ("3.77", "localpkg", "wants Python 3.77, which this machine does not have"),
    ],
)
def test_what_cannot_be_built_is_said_and_ends_the_command(
    model: Path, tmp_path: Path, python: str, package: str, reason: str
) -> None:
    want(model, python, package)
    command = [PROJECT / "pinion", "serve", model, "--port", "0"]
    environment = {**os.environ, "PINION_HOME": str(tmp_path / "home")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("pinion: ")
    assert all(part in last for part in reason.split(".*"))
    assert "Traceback" not in run.stderr


def test_an_interpreter_of_ones_own_is_used_as_it_is(model: Path, tmp_path: Path) -> None:
    (model / "predict.py").write_text("import sys\n\n\ndef predict() -> str:\n    return sys.executable\n")
    with serving(model, "--python", sys.executable, PINION_HOME=str(tmp_path / "home")) as served:
        assert served.predict().json()["output"] == sys.executable
    assert not (tmp_path / "home").exists()


def test_weights_are_fetched_and_lie_where_cog_yaml_wants_them(
    model: Path, tmp_path: Path, file_server: FileServer
) -> None:
    source = f"{{uri: '{file_server.gives('/w.txt', b'heavy')}'}}"
    weights = f"[{{name: w, target: /src/weights, source: {source}}}]"
    (model / "cog.yaml").write_text(f"predict: predict.py:P\nweights: {weights}\n")
    (model / "predict.py").write_text(
        "class P:\n    def setup(self, weights: str):\n        self.weights = weights\n\n"
        "    def predict(self) -> str:\n        return self.weights + open('weights/w.txt').read()\n"
    )
    home = {"PINION_HOME": str(tmp_path / "home")}
    for _ in range(2):
        with serving(model, **home) as served:
            assert served.predict().json()["output"] == "weightsheavy"
    assert file_server.asked == ["/w.txt"]
    file_server.refuses("/gone", 404)
    (model / "cog.yaml").write_text((model / "cog.yaml").read_text().replace("/w.txt", "/gone"))
    with serving(model, wait=False, **home) as served:
        assert served.process.wait(60) == 1
        assert "/gone could not be fetched: the server answered HTTP 404." in served.log.read_text().splitlines()[-1]
