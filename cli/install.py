"""The second half of the launcher: makes .venv and installs the pinned packages when they are missing, then runs `cli`.

Nothing here needs an installed package or another module of ours: it runs before there is anything. What the service
needs as well is a program of its own, which is called.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = VENV / "lib" / f"python{VERSION}" / "site-packages"
STAMP = VENV / "pinion-installed.json"
CONSTRAINTS = PROJECT / "constraints.txt"
SOURCES = PROJECT / "shared" / "package_sources.py"

# Talking to a server elsewhere needs no torch, which is most of what there is to install.
_EXTRAS = {"up": {"torch"}, "serve": {"torch"}, **{each: {"torch", "dev"} for each in ("lint", "test", "faults")}}
_DISK_FULL = ("no space left on device", "os error 28", "quota exceeded")
_UNREACHABLE = ("dns error", "failed to fetch", "connection", "timed out", "certificate", "no matching distribution")
_TAIL_LINES = 15


class InstallError(Exception):
    """A sentence with the cause and the fix."""


def main(arguments: list[str]) -> None:
    """Install what the command needs, unless it is there, and become it."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    try:
        ensure_installed(_EXTRAS.get(command, set()))
    except (InstallError, OSError) as error:
        sys.exit(f"pinion: {explain_disk(str(error)) or error}")
    except KeyboardInterrupt:
        sys.exit("pinion: stopped while setting up; run it again to go on.")
    # -P: where the user happens to be there may be a folder named like one of our packages.
    os.execv(PYTHON, [str(PYTHON), "-P", "-m", "cli", *arguments])  # noqa: S606 - no shell is wanted


def ensure_installed(wanted: set[str]) -> None:
    present = installed_extras()
    if present is not None and wanted <= present:
        return
    descriptor = os.open(PROJECT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # of two commands started at once the second waits and finds all done
        present = installed_extras()
        if present is None or not wanted <= present:
            install(wanted | (present or set()))
    finally:
        os.close(descriptor)


def installed_extras() -> set[str] | None:
    """What is installed in its present state; None when nothing is, or a pin or the Python has changed since."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    return set(stamp["extras"]) if stamp["state"] == installation_state() else None


def installation_state() -> str:
    """Changes with everything that an installation depends on."""
    place = f"{PROJECT} {VERSION} "  # an environment that was moved with its folder does not work
    inputs = (PROJECT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()
    return hashlib.sha256(place.encode() + inputs).hexdigest()


def install(extras: set[str]) -> None:
    """From whatever is there to an environment with these extras."""
    started = time.monotonic()
    say(f"Setting up Pinion in {VENV} (once) …")
    if not is_usable_venv():
        make_venv()
    install_packages(extras)
    STAMP.write_text(json.dumps({"state": installation_state(), "extras": sorted(extras)}))
    say(f"Set up in {time.monotonic() - started:.0f} s.")


def is_usable_venv() -> bool:
    """False also for one that was cut short, or was made by another Python."""
    return PYTHON.exists() and (LIBRARY / "pip").is_dir()


def make_venv() -> None:
    """Make the environment, with a pip in it."""
    if importlib.util.find_spec("ensurepip") is None:
        raise InstallError(
            f"this Python ({sys.executable}, {VERSION}) cannot make virtual environments: "
            f"run 'sudo apt install python{VERSION}-venv' (on Debian and Ubuntu), then this again."
        )
    wheel = find_pip_wheel()
    # The interpreter behind this one, which may itself be the environment's.
    base = getattr(sys, "_base_executable", sys.executable)
    if failed := run([base, "-m", "venv", "--clear", *(["--without-pip"] if wheel else []), str(VENV)], os.environ):
        raise InstallError(explain_disk(failed) or f"{VENV} could not be made:\n{failed}")
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(LIBRARY)


def find_pip_wheel() -> Path | None:
    """The pip that came with this Python. Unpacking it does what ensurepip takes four seconds for."""
    places = [Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled"]
    if system := sysconfig.get_config_var("WHEEL_PKG_DIR"):  # where distributions keep it instead
        places.append(Path(system))
    return next((wheel for place in places for wheel in place.glob("pip-*-none-any.whl")), None)


def install_packages(extras: set[str]) -> None:
    """Try the ways from the fastest to the most forgiving."""
    failed = ""
    for command, environment in ways_to_install(extras, list_uv_settings()):
        failed = run(command, environment)
        if not failed:
            return
        if full := explain_disk(failed):
            raise InstallError(full)
    if any(sign in failed.lower() for sign in _UNREACHABLE):
        raise InstallError(
            f"the packages could not be fetched ({failed.splitlines()[-1].strip()}): check the network; "
            "a proxy is set with HTTPS_PROXY, a mirror with PIP_INDEX_URL."
        )
    raise InstallError(f"the packages could not be installed:\n{failed}")


def ways_to_install(extras: set[str], sources: Mapping[str, str]) -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """Commands to try one after the other, each with its environment. What was fetched before is not fetched again."""
    extra = f"[{','.join(sorted(extras))}]" if extras else ""
    wanted = ["--constraint", str(CONSTRAINTS), "--editable", f"{PROJECT}{extra}"]
    pip_install = [str(PYTHON), "-m", "pip", "install", "--no-input"]
    uv = VENV / "bin" / "uv"
    if not uv.exists():
        run([*pip_install, "--quiet", "--constraint", str(CONSTRAINTS), "uv"], os.environ)
    if uv.exists():
        uv_install = [str(uv), "pip", "install", "--python", str(PYTHON)]
        environment = {**sources, **os.environ}
        if "torch" in extras and not has_torch(environment.get("UV_FIND_LINKS", "")):
            # Let uv choose the build by the driver it finds: without one, the default build is gigabytes too large.
            yield [*uv_install, "--torch-backend=auto", *wanted], environment
        yield [*uv_install, *wanted], environment
    # pip knows every proxy, keyring and mirror that somebody may have set up for it.
    yield [*pip_install, *wanted], os.environ


def list_uv_settings() -> dict[str, str]:
    """What pip has been set up with, for uv; nothing where pip does not tell."""
    command = [str(PYTHON), "-I", str(SOURCES)]
    listed = subprocess.run(command, capture_output=True, text=True).stdout  # noqa: S603 - a program of ours
    try:
        return dict(json.loads(listed))
    except ValueError:
        return {}


def has_torch(find_links: str) -> bool:
    """Whether somebody provides a build of torch here. What lies behind an address we cannot see, and trust."""
    places = [place for place in find_links.split(",") if place]
    return any("://" in place or any(Path(place).glob("torch-*.whl")) for place in places)


def run(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a command, showing what is of interest; empty when it worked, else the end of what it said."""
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - commands of this module
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if not line.startswith((" + ", " - ", " ~ ")):  # uv's list of a hundred packages
                say(f"  {line.rstrip()}")
    return (
        ("\n".join(lines[-_TAIL_LINES:]) or f"{command[0]} ended with {process.returncode}")
        if process.returncode
        else ""
    )


def explain_disk(message: str) -> str:
    """The sentence for a full disk, naming the place with the least room; empty for any other message."""
    if not any(sign in message.lower() for sign in _DISK_FULL):
        return ""
    cache = Path(os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    places = [place for place in (PROJECT, cache, Path(tempfile.gettempdir())) if place.exists()]
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    return (
        f"the disk that holds {place} is full ({free // 2**20} MB free): "
        "free about 3 GB, 10 GB with an NVIDIA GPU, and run this again; it goes on where it stopped."
    )


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
