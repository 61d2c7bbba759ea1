"""`pinion up`: which services make up Pinion on this machine, in which order they come, what is said in the end.

How processes are kept and ended stands in `process_tree`; nothing of the services' own work is done here.
"""

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli import bundled, configuration, home, migrate, probe, valkey
from cli.address import Address, claim, read_address
from cli.failure import Failure
from cli.process_tree import ProcessTree, Service
from shared.seal import seal

_READY_SECONDS = 120.0
_REDIS_SECONDS = 5.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Plan:
    """Everything decided before the first process starts."""

    folder: Path
    address: Address
    token: str
    socket: Path | None
    """Of the embedded Valkey; None when REDIS_URL names a server."""
    database: Path | None
    """Of the embedded SQLite; None when DATABASE_URL names a server."""
    environment: Mapping[str, str]
    """What every service gets."""

    def service(self, name: str, *arguments: str) -> Service:
        return Service(name, (sys.executable, "-m", *arguments), self.environment)


def up(*, is_verbose: bool) -> None:
    """Run everything until somebody stops it."""
    folder = home.locate(os.environ)
    home.prepare(folder)
    wanted = read_address(os.environ)
    lock = home.lock(folder, wanted.url)
    plan = make_plan(folder, claim(wanted), os.environ)
    configuration.load()  # a service that dies of a wrong setting says so in its log only
    home.note_address(lock, plan.address.url)
    seal()
    asyncio.run(_run(plan, ProcessTree(folder / "logs", lock, say, is_verbose=is_verbose)))


def make_plan(folder: Path, address: Address, environment: Mapping[str, str]) -> Plan:
    """Each of the two servers is embedded unless its setting names another."""
    token = environment.get("PINION_API_TOKEN") or home.obtain_token(folder)
    database = None if environment.get("DATABASE_URL") else folder / "pinion.db"
    socket = None if environment.get("REDIS_URL") else valkey.choose_socket(folder)
    ours = {
        "PINION_HOME": str(folder),
        "PINION_HOST": address.host,
        "PINION_PORT": str(address.port),
        "PINION_API_TOKEN": token,
        "PYTHONUNBUFFERED": "1",  # a log is read while it grows
    }
    if database:
        ours["DATABASE_URL"] = f"sqlite+aiosqlite:///{database}"
    if socket:
        ours["REDIS_URL"] = f"unix://{socket}"
    return Plan(folder, address, token, socket, database, {**environment, **ours})


def say(line: str) -> None:
    """Progress and warnings; what a program may want to read goes to stdout instead."""
    print(line, file=sys.stderr, flush=True)


async def _run(plan: Plan, tree: ProcessTree) -> None:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            tree.hurry()
        else:
            say("Stopping …")
        stop.set()

    for number in _STOP_SIGNALS:
        # Under nohup the closing of the terminal is ignored, and has to stay so.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
    async with tree:
        work = asyncio.create_task(_bring_up(plan, tree))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if work.done():
            work.result()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _bring_up(plan: Plan, tree: ProcessTree) -> None:
    note = plan.folder / "bundled-model"
    if not note.exists():
        tree.start(bundled.warm_up_command(plan.environment))
    await asyncio.gather(_start_redis(plan, tree), _prepare_database(plan, tree))
    api = plan.service("api", "api")
    tree.keep(api)
    tree.keep(plan.service("predict", "worker", "predict"))
    await tree.until_ready(api, lambda: _is_ready(plan.address), _READY_SECONDS)
    # Only now: three at once would take the processors from the one that is waited for.
    tree.keep(plan.service("deliver", "worker", "deliver"))
    await _register_bundled(plan, tree, note)
    print(greeting(plan), flush=True)
    await tree.watch()


async def _start_redis(plan: Plan, tree: ProcessTree) -> None:
    if plan.socket is None:
        await _require_redis(plan.environment["REDIS_URL"])
        return
    socket = plan.socket
    await valkey.end_leftover(socket)
    service = valkey.service(plan.folder, socket, plan.environment)
    tree.keep(service)
    await tree.until_ready(service, lambda: valkey.is_ready(socket), _READY_SECONDS)


async def _require_redis(url: str) -> None:
    """Ask it as the services will; without it everything would wait, and nothing would say so."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    try:
        async with asyncio.timeout(_REDIS_SECONDS), Redis.from_url(url) as redis:
            await redis.ping()
    except (RedisError, OSError, ValueError) as error:
        server = urlsplit(url)  # shown without what may be a password
        place = f"{server.hostname}:{server.port or 6379}" if server.hostname else server.path
        raise Failure(
            f"REDIS_URL ({place}) does not answer as Redis does ({str(error) or 'no answer'}): "
            "start that server, correct the setting, or unset it to use the embedded one."
        ) from error


async def _prepare_database(plan: Plan, tree: ProcessTree) -> None:
    if plan.database and migrate.is_current(plan.database, plan.token):
        return
    say("Preparing the database …")
    await tree.run(plan.service("migrate", "cli", "migrate"))


async def _is_ready(address: Address) -> bool:
    status, _ = await probe.get(address, "/readyz")
    return status == 200


async def _register_bundled(plan: Plan, tree: ProcessTree, note: Path) -> None:
    if await bundled.is_registered(note, plan.address, plan.token):
        return
    say(f"Registering the bundled model {bundled.NAME} …")
    try:
        await tree.run(bundled.push_command(plan.address, plan.environment))
    except Failure as failure:  # Pinion is as useful for other models without it
        say(f"The bundled model could not be registered: {failure}")
    else:
        bundled.note_registered(note)


def greeting(plan: Plan) -> str:
    """The three things one needs: the address, the token, a first request that works as pasted."""
    body = json.dumps({"version": bundled.NAME, "input": bundled.INPUT}, separators=(",", ":"))
    headers = (f"Authorization: Bearer {plan.token}", "Content-Type: application/json", "Prefer: wait")
    request = ["curl", "-s", "-X", "POST", *(word for header in headers for word in ("-H", header)), "-d", body]
    line = shlex.join([*request, f"{plan.address.url}/v1/predictions"])
    return f"Pinion is running at {plan.address.url}\nAPI token: {plan.token}\nTry it:\n{line}"
