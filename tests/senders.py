"""Webhook senders in processes of their own, each started in a fraction of a second.

One process has everything loaded and forks: `python -m tests.senders` starts a sender for each line it reads, and says
its number. Nothing is asserted here.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import uvloop

from cli import process_tree
from shared import logs
from shared.settings import Settings
from tests.database_fixtures import PROJECT
from worker import roles


@dataclass
class Senders:
    """Starts them, and ends those that are left."""

    _template: "subprocess.Popen[str]"
    started: list[psutil.Process] = field(default_factory=list)

    def start(self) -> psutil.Process:
        assert self._template.stdin
        assert self._template.stdout
        self._template.stdin.write("\n")
        self._template.stdin.flush()
        self.started.append(psutil.Process(int(self._template.stdout.readline())))
        return self.started[-1]

    def end(self) -> None:
        for process in self.started:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def senders(settings: Settings, **more: str) -> Iterator[Senders]:
    """On the servers of the settings; `more` is added to their environment."""
    networks = ",".join(map(str, settings.webhook_allow_cidrs))
    own = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PINION_HOME": str(settings.home),
        "PINION_WEBHOOK_ALLOW_CIDRS": networks,
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-m", "tests.senders"]
    with subprocess.Popen(command, cwd=PROJECT, env={**os.environ, **own, **more}, text=True, **pipes) as template:
        started = Senders(template)
        try:
            yield started
        finally:
            started.end()
            assert template.stdin
            template.stdin.close()


def _fork_for_each_line() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever is killed is gone at once
    bind = process_tree._bind_to_us()
    for _ in sys.stdin:
        if child := os.fork():
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if bind:
            bind()
        logs.configure("sender")
        uvloop.run(roles.deliver(Settings()))
        os._exit(0)


if __name__ == "__main__":
    _fork_for_each_line()
