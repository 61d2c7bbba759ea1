"""What a build says about wishes of cog.yaml that only an image could fulfil, on this very machine.

Nothing is installed.
"""

import shutil
from pathlib import Path

import pytest

from worker.manifest import Build, RunStep
from worker.remarks import remarks_on

HAS_GPU = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="this machine has no dpkg")
async def test_missing_system_packages_are_told_with_the_command_that_installs_them():
    build = Build(system_packages=["coreutils", "a-package-nobody-has", "dpkg=0.0.0", "a; b"])
    [remark] = await remarks_on(build)
    assert remark.endswith("to install: sudo apt-get install a-package-nobody-has 'a; b'")


async def test_without_dpkg_it_is_said_that_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    [remark] = await remarks_on(Build(system_packages=["ffmpeg"]))
    assert remark == "Whether ffmpeg (system_packages) are installed cannot be told on this machine."


async def test_commands_are_named_that_are_not_run():
    remarks = await remarks_on(Build(run=[RunStep(command="make")], pre_install=["echo"]))
    assert remarks == [f"Not run, since no image is built (run, pre_install): {name}" for name in ("echo", "make")]


async def test_a_gpu_that_is_asked_for_and_is_not_there_is_told():
    assert len(await remarks_on(Build(cuda="11.8"))) == (0 if HAS_GPU else 1)
    assert await remarks_on(Build()) == []
