"""The launcher's second half: what it asks pip and uv for, and what it says when it cannot go on.

Nothing is installed here.
"""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

from cli import install


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a made but empty environment."""
    venv = tmp_path / ".venv"
    library = venv / "lib" / "site-packages"
    (library / "pip").mkdir(parents=True)
    (venv / "bin").mkdir()
    for name in ("python", "uv"):
        (venv / "bin" / name).touch()
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(name)
    places = {"PROJECT": tmp_path, "VENV": venv, "LIBRARY": library, "PYTHON": venv / "bin" / "python"}
    places |= {"STAMP": venv / "stamp.json", "CONSTRAINTS": tmp_path / "constraints.txt"}
    for name, place in places.items():
        monkeypatch.setattr(install, name, place)
    return tmp_path


def commands(extras: set[str], sources: dict[str, str]) -> list[list[str]]:
    return [command for command, _ in install.ways_to_install(extras, sources)]


def test_what_is_set_for_uv_itself_stays(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", "/uv")
    _, environment = next(install.ways_to_install(set(), {"UV_FIND_LINKS": "/pip", "UV_DEFAULT_INDEX": "https://a"}))
    assert (environment["UV_FIND_LINKS"], environment["UV_DEFAULT_INDEX"]) == ("/uv", "https://a")


def test_the_settings_of_pip_are_asked_of_the_program_that_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/from/pip")
    assert install.list_uv_settings()["UV_FIND_LINKS"] == "/from/pip"


def test_uv_chooses_the_build_of_torch_where_nobody_provides_one(checkout: Path) -> None:
    first, second, last = commands({"torch"}, {})
    assert "--torch-backend=auto" in first
    assert "--torch-backend=auto" not in second
    assert last[1:3] == ["-m", "pip"]
    assert f"{checkout}[torch]" in second


def test_a_provided_build_of_torch_is_taken(checkout: Path) -> None:
    (checkout / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    assert "--torch-backend=auto" not in commands({"torch"}, {"UV_FIND_LINKS": str(checkout)})[0]


def test_without_torch_there_is_no_build_to_choose(checkout: Path) -> None:
    assert commands(set(), {})[0][-1] == str(checkout)


def test_a_finished_installation_is_remembered_until_a_pin_changes(checkout: Path) -> None:
    assert install.installed_extras() is None
    install.STAMP.write_text(json.dumps({"state": install.installation_state(), "extras": ["torch"]}))
    assert install.installed_extras() == {"torch"}
    (checkout / "constraints.txt").write_text("torch==9")
    assert install.installed_extras() is None


@pytest.mark.usefixtures("checkout")
def test_what_was_installed_before_is_kept_when_more_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(install, "install", asked.append)
    install.STAMP.write_text(json.dumps({"state": install.installation_state(), "extras": ["torch"]}))
    install.ensure_installed({"torch"})
    install.ensure_installed({"dev"})
    assert asked == [{"torch", "dev"}]


@pytest.mark.usefixtures("checkout")
def test_a_python_that_cannot_make_environments_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(install.InstallError, match=r"sudo apt install python3\.\d+-venv"):
        install.make_venv()


@pytest.mark.usefixtures("checkout")
def test_a_full_disk_is_said_at_once_instead_of_trying_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[list[str]] = []

    def fail(command: list[str], environment: object) -> str:
        tried.append(command)
        return "error: failed to write\n  No space left on device (os error 28)"

    monkeypatch.setattr(install, "run", fail)
    monkeypatch.setattr(install, "list_uv_settings", dict)
    with pytest.raises(install.InstallError, match=r"is full \(\d+ MB free\): free about 3 GB"):
        install.install_packages({"torch"})
    assert len(tried) == 1


@pytest.mark.usefixtures("checkout")
def test_an_unreachable_index_is_said_with_the_settings_that_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run", lambda command, environment: "error: Failed to fetch\n  dns error")
    monkeypatch.setattr(install, "list_uv_settings", dict)
    with pytest.raises(install.InstallError, match=r"could not be fetched \(dns error\): .* HTTPS_PROXY"):
        install.install_packages({"torch"})


def test_a_command_that_fails_hands_back_the_end_of_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    output = install.run(["/bin/sh", "-c", "echo one; echo ' + package==1'; echo two >&2; exit 3"], {})
    assert output == "one\n + package==1\ntwo"
    assert capsys.readouterr().err == "  one\n  two\n"


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    for name in ("dirname", "readlink"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    launcher = tmp_path / "pinion"
    launcher.write_bytes((install.PROJECT / "pinion").read_bytes())
    done = subprocess.run(["/bin/sh", launcher], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("pinion: needs Python 3.11 or newer and found none")
