"""One directory served by `./pinion serve` on a free port, as its user starts it.

Nothing is faked here; whatever is left when a test ends is ended with it.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.instance import PREDICTORS, PROJECT, until

_ADDRESS = re.compile(r"Serving .* at (http://\S+)")
_NEUTRAL = ("PORT", "WEBHOOK_AUTH_TOKEN", "KUBERNETES_SERVICE_HOST")
_STOP_SECONDS = 15.0


@dataclass
class Served:
    """The running command; requests fail the test when they take too long."""

    process: "subprocess.Popen[bytes]"
    log: Path
    url: str = ""
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        found = until(lambda: _ADDRESS.search(self.log.read_text()) or self.process.poll() is not None, 60)
        assert isinstance(found, re.Match), self.log.read_text()
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def close(self) -> None:
        self.client.close()

    def health(self) -> Any:
        return self.client.get("/health-check").json()

    def wait_until(self, *statuses: str) -> Any:
        """The answer of the health check, once it says so."""
        return until(lambda: (health := self.health())["status"] in statuses and health, 20)

    def predict(self, body: Any = None, **headers: str) -> httpx.Response:
        return self.client.post("/predictions", json=body, headers=headers)

    def model_process(self) -> psutil.Process:
        return self._model_processes()[0]

    def training_process(self, predictor: int) -> psutil.Process:
        """The one beside the one that predicts, once there is one."""
        return until(lambda: next((each for each in self._model_processes() if each.pid != predictor), None), 20)

    def _model_processes(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any("pinion_runtime/main.py" in word for word in child.cmdline())]


@contextmanager
def serving(predictor: str | Path, *options: str, wait: bool = True, **environment: str) -> Iterator[Served]:
    """One of the test predictors or another folder, ready for predictions unless the test does not want to `wait`."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NEUTRAL}
    with tempfile.TemporaryDirectory(prefix="served-") as folder:
        log = Path(folder) / "log"
        command = [PROJECT / "pinion", "serve", PREDICTORS / predictor, "--port", "0", *options]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**inherited, "TMPDIR": folder, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            with closing(Served(process, log)) as served:
                if wait:
                    served.wait_until("READY")
                yield served
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
