"""`pinion doctor`: what Pinion needs of this machine, a line for each, and what to do about what is wrong.

Nothing is changed or started. A server that runs already is asked nothing but whether it is there.
"""

import asyncio
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cli import home, probe
from cli.address import claim, find_listener, read_address
from cli.failure import Failure
from shared.isolation import Isolation, Level, judge

_LEAST_FREE_BYTES = 10 * 2**30
_ASK_SECONDS = 20.0
_COLOURS = {"OK": 32, "WARN": 33, "FAIL": 31}
"""As a terminal numbers green, yellow and red."""
_DEFAULT_PORTS = {"postgres": 5432, "redis": 6379}
_RUN = {
    Level.PROCESS: "as processes of this user",
    Level.VEIL: "behind a veil that hides PINION_HOME from them",
    Level.SANDBOX: "in sandboxes",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` is said after what was found where that is not as it should be."""

    mark: Literal["OK", "WARN", "FAIL"]
    about: str
    found: str
    fix: str = ""


def doctor() -> None:
    """Print every finding; fails when something keeps Pinion from working."""
    findings = list(examine())
    for finding in findings:
        print(_line(finding))
    if failed := [finding.about for finding in findings if finding.mark == "FAIL"]:
        raise Failure(f"This keeps Pinion from working: {', '.join(failed)}.")


def examine() -> Iterator[Finding]:
    folder = home.locate(os.environ)
    yield _python()
    yield _disk(folder)
    yield _port(folder)
    yield _database(os.environ.get("DATABASE_URL", ""), folder)
    yield from _clock(os.environ.get("DATABASE_URL", ""))
    yield _redis(os.environ.get("REDIS_URL", ""))
    yield _builder()
    yield from _libraries()
    yield _gpu()
    yield _isolation()


def _line(finding: Finding) -> str:
    mark = f"{finding.mark:4}"
    if sys.stdout.isatty():
        mark = f"\033[{_COLOURS[finding.mark]}m{mark}\033[0m"
    return f"{mark}  {finding.about:<13} {finding.found}{f' → {finding.fix}' if finding.fix else ''}"


def _python() -> Finding:
    return Finding("OK", "Python", f"{platform.python_version()} ({sys.executable})")


def _disk(folder: Path) -> Finding:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(place, os.W_OK):
        fix = "correct its owner, or choose another with PINION_HOME=/path"
        return Finding("FAIL", "Data folder", f"{place} may not be written", fix)
    free = shutil.disk_usage(place).free
    found = f"{folder}, {free / 2**30:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Finding("WARN", "Data folder", found, "models need room: free some, or set PINION_HOME=/path")
    return Finding("OK", "Data folder", found)


def _port(folder: Path) -> Finding:
    try:
        free = claim(read_address(os.environ))
    except Failure as failure:
        return _taken_port(folder, failure)
    return Finding("OK", "Port", f"{free.port} is free")


def _taken_port(folder: Path, failure: Failure) -> Finding:
    try:
        wanted = read_address(os.environ)
    except Failure:
        return Finding("FAIL", "Port", str(failure))
    if home.stored_address(folder) == wanted.url and asyncio.run(probe.get(wanted, "/livez"))[0] == 200:
        return Finding("OK", "Port", f"Pinion runs at {wanted.url} ({find_listener(wanted.port) or 'already'})")
    return Finding("FAIL", "Port", str(failure))


def _database(url: str, folder: Path) -> Finding:
    if not url or url.startswith("sqlite"):
        return Finding("OK", "Database", f"SQLite, {url.partition(':///')[2] or folder / 'pinion.db'}")
    return _server("Database", "DATABASE_URL", url, _DEFAULT_PORTS["postgres"])


def _clock(url: str) -> Iterator[Finding]:
    """Nothing where SQLite goes by this machine's, or where nothing answers, which has been found already."""
    if not url or url.startswith("sqlite"):
        return
    from cli.database import on_database
    from shared import clocks

    try:
        found = on_database(clocks.read)
    except Failure:
        return
    if found.differ:
        how = f"{abs(found.seconds_ahead):.0f} s {'ahead of' if found.seconds_ahead > 0 else 'behind'} the database's"
        yield Finding("WARN", "Clock", f"{how}, at {found.host:%H:%M:%S} UTC here", "set both by NTP")
    else:
        yield Finding("OK", "Clock", f"{abs(found.seconds_ahead):.1f} s from the database's")


def _redis(url: str) -> Finding:
    if not url:
        return _embedded_redis()
    if url.startswith("unix:"):
        is_there = Path(urlsplit(url).path).is_socket()
        fix = "" if is_there else "start that server, or unset REDIS_URL to use the embedded one"
        return Finding("OK" if is_there else "FAIL", "Redis", urlsplit(url).path, fix)
    return _server("Redis", "REDIS_URL", url, _DEFAULT_PORTS["redis"])


def _embedded_redis() -> Finding:
    from cli import valkey

    try:
        return Finding("OK", "Redis", f"embedded, {valkey.find_binary()}")
    except Failure as failure:
        return Finding("FAIL", "Redis", str(failure))


def _server(about: str, setting: str, url: str, usual_port: int) -> Finding:
    """Never the whole address: it may hold a password."""
    server = urlsplit(url)
    place = f"{server.hostname}:{server.port or usual_port}"
    if server.hostname and asyncio.run(probe.is_reachable(server.hostname, server.port or usual_port)):
        return Finding("OK", about, f"{place} answers")
    fix = f"start that server, or unset {setting} to use the embedded one"
    return Finding("FAIL", about, f"nothing answers at {place}", fix)


def _builder() -> Finding:
    if find_spec("uv") is None:
        return Finding("FAIL", "uv", "not installed", "start this through ./pinion, which installs what it needs")
    return Finding("OK", "uv", f"{importlib.metadata.version('uv')}, builds the environments of models")


def _libraries() -> Iterator[Finding]:
    # Their versions are read, not the libraries imported, which takes seconds.
    for name in ("torch", "transformers"):
        if find_spec(name) is None:
            fix = "run ./pinion up once, which installs it; models with packages of their own need it not"
            yield Finding("WARN", name, "not installed", fix)
        else:
            yield Finding("OK", name, importlib.metadata.version(name))


def _gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        if any(Path("/dev").glob("nvidia[0-9]*")):
            return Finding("WARN", "GPU", "there is one, but no nvidia-smi", "install the NVIDIA driver's tools")
        return Finding("OK", "GPU", "none: models run on the processor")
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=_ASK_SECONDS)  # noqa: S603 - found above
    except (OSError, subprocess.TimeoutExpired):
        return Finding("WARN", "GPU", "nvidia-smi does not answer", "restart the driver, or the machine")
    names = "; ".join(asked.stdout.splitlines())
    if asked.returncode or not names:
        return Finding("WARN", "GPU", "nvidia-smi finds none", "install the driver that fits the kernel")
    if _is_cpu_build():
        fix = "install a CUDA build of torch, or models without packages stay on the processor"
        return Finding("WARN", "GPU", f"{names}, but torch is built without CUDA", fix)
    return Finding("OK", "GPU", names)


def _isolation() -> Finding:
    """What the models of this installation run in, and why."""
    from cli import configuration

    try:
        settings = configuration.load()
    except Failure as failure:
        return Finding("FAIL", "Isolation", str(failure))
    verdict = judge(settings.isolation, _accounts(settings.database_url))
    if not verdict.obstacle:
        return Finding("OK", "Isolation", f"models run {_RUN[verdict.level]}: {verdict.reason}")
    fix = "install bubblewrap, or let it make user namespaces: docs/security.md"
    if settings.isolation == Isolation.SANDBOX:
        return Finding("FAIL", "Isolation", f"models cannot run: {verdict.reason}, but {verdict.obstacle}", fix)
    found = f"models run {_RUN[verdict.level]}, and can read PINION_HOME: {verdict.reason}, and {verdict.obstacle}"
    return Finding("WARN", "Isolation", found, fix)


def _accounts(database_url: str) -> int:
    """None where there is no database yet: to ask SQLite would make one."""
    from cli import accounts

    if database_url.startswith("sqlite") and not Path(database_url.partition(":///")[2]).exists():
        return 0
    try:
        return accounts.count()
    except Failure:  # which has been found already
        return 0


def _is_cpu_build() -> bool:
    return find_spec("torch") is not None and importlib.metadata.version("torch").endswith("+cpu")
