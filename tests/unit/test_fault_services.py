"""What the tests of faults notice of services: silence, lost models, leaks, and what a stranger is told.

The services are small programs that do exactly that.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest

from tests.database_fixtures import until
from tests.faults.canary import leaks, told_by_apis
from tests.faults.history import Order
from tests.faults.holdings import Holdings
from tests.faults.line import Line
from tests.faults.pulse import Pulse, feeling
from tests.faults.servers import free_port
from tests.faults.service import Service
from tests.faults.stack import assert_gone
from tests.faults.strangers import told_to_stranger

_API = """
import http.server, pathlib

class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_known = self.path == "/livez" and not pathlib.Path("dead").exists() or "ours" in self.path
        self.send_response(200 if is_known and "ours" not in self.path else 404)
        self.end_headers()
        self.wfile.write(b"not yours" if is_known else b"nothing")

    do_POST = do_GET

http.server.HTTPServer(("127.0.0.1", {port}), Api).serve_forever()
"""
_TALKER = """
import http.server

TOLD = {{
    "/metrics": "token {secret}1",
    "/v1/webhooks/messages": '{{"results": [{{"id": "m", "prediction": "A"}}, {{"id": "n", "prediction": "B"}}]}}',
    "/v1/webhooks/messages/m": "answered {secret}2",
}}

class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in TOLD or self.path == "/livez" else 404)
        self.end_headers()
        self.wfile.write(TOLD.get(self.path, "").encode())

http.server.HTTPServer(("127.0.0.1", {port}), Api).serve_forever()
"""
_WORKER = """
import signal, subprocess, sys

held = []
signal.signal(signal.SIGUSR1, lambda *_: held.extend(open("/dev/null") for _ in range(100)))
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "pinion_runtime/main.py"])
while True:
    signal.pause()
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """It runs what is written into acts.py, and reaches no server."""
    port = free_port()
    (tmp_path / "acts.py").write_text(_API.format(port=port))
    unused = cast(Line, None)
    service = Service("acts", ("acts",), os.environ, tmp_path / "log", unused, None, port, code=tmp_path)
    yield service
    left = service.handle.children() if service.is_up else []
    service.kill()
    for child in left:
        child.kill()


async def heard(pulse: Pulse, more: int = 3) -> None:
    enough = len(pulse.beats) + more
    await until(lambda: len(pulse.beats) >= enough)


async def test_the_pulse_of_an_api_is_not_felt_while_something_is_done_to_it(service: Service) -> None:
    service.start()
    with feeling([service]) as pulse:
        await heard(pulse)
        service.signal(signal.SIGSTOP)
        assert service.undisturbed_since == float("inf")
        service.signal(signal.SIGCONT)
        await heard(pulse)
        service.kill()
        service.start()
        await heard(pulse)
    assert list(pulse.missed(crowding=5.0)) == []


async def test_an_api_that_does_not_say_that_it_lives_is_found(service: Service) -> None:
    service.start()
    with feeling([service]) as pulse:
        await heard(pulse)
        (service.code / "dead").touch()
        await until(lambda: list(pulse.missed(crowding=5.0)))
        assert "did not answer" in next(iter(pulse.missed(crowding=5.0)))
    assert [each for each in pulse.missed(crowding=1e-6) if "were late" in each]


async def held_at_first(service: Service) -> Holdings:
    """What was noted of it as a worker with a model."""
    (service.code / "acts.py").write_text(_WORKER)
    service.start()
    holdings = Holdings()
    await until(service.models)
    holdings.note([service])
    return holdings


async def test_a_model_process_that_is_gone_is_missed_unless_its_worker_is_another(service: Service) -> None:
    holdings = await held_at_first(service)
    assert list(holdings.lost_models([service])) == []
    [model] = service.models()
    model.kill()
    assert list(holdings.lost_models([service])) == [f"acts has lost its models [{model.pid}]"]
    service.kill()
    service.start()
    assert list(holdings.lost_models([service])) == []


async def test_descriptors_that_pile_up_are_found(service: Service) -> None:
    holdings = await held_at_first(service)
    assert list(holdings.leaked_descriptors([service])) == []
    os.kill(service.handle.pid, signal.SIGUSR1)
    await until(lambda: list(holdings.leaked_descriptors([service])))


async def test_a_stranger_who_is_told_of_what_is_not_theirs_is_found(service: Service) -> None:
    service.start()
    with feeling([service]) as pulse:
        await heard(pulse, 1)
    assert await told_to_stranger("token", [service], [Order("a", {}, id="nobodys")]) == []
    found = await told_to_stranger("token", [service], [Order("a", {}, id="ours")])
    assert [each for each in found if "not yours" in each]


async def test_a_secret_in_metrics_or_in_the_log_of_messages_is_found(service: Service) -> None:
    (service.code / "acts.py").write_text(_TALKER.format(port=service.port, secret="whsec_"))
    service.start()
    with feeling([service]) as pulse:
        await heard(pulse, 1)
    told = await told_by_apis([service], [Order("a", {}, id="A")])
    assert list(leaks(told, ["whsec_"])) == ["the metrics of acts has whsec_…", "the delivery log has whsec_…"]


def test_a_process_that_outlives_its_service_is_found() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        with pytest.raises(AssertionError):
            assert_gone([psutil.Process(sleeper.pid)], seconds=0.1)
        sleeper.kill()
