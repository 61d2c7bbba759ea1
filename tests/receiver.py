"""A real webhook receiver on loopback that keeps what it is sent.

Answers 200 unless told otherwise; verifies nothing, the tests do.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import msgspec

Kind = TypeVar("Kind", bound="Receiver")
TERMINAL = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class Delivery:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    came_at: float = field(default_factory=time.time)

    @cached_property
    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body)

    @property
    def tells_an_end(self) -> bool:
        """Only `completed` does."""
        return self.json["status"] in TERMINAL


class Receiver:
    """Started by `receiving`; `answers` are the statuses of the next requests, then 200. It answers while it may."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.deliveries: list[Delivery] = []
        self.answers: list[int] = []
        self.answer_headers: dict[str, str] = {}
        self.answer_body = b""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._changed = threading.Condition()

    def take(self, delivery: Delivery) -> int:
        with self._changed:
            self.deliveries.append(delivery)
            self._changed.notify_all()
            status = self.answers.pop(0) if self.answers else 200
        self.may_answer.wait(60)
        return status

    def answered(self) -> None:
        """Called when an answer has gone out."""

    def wait_for(self, enough: Callable[[list[Delivery]], Any], seconds: float = 15.0) -> list[Delivery]:
        """Deliveries once `enough` of them holds; fails the test with what came otherwise."""
        with self._changed:
            came = self._changed.wait_for(lambda: enough(self.deliveries), seconds)
            assert came, f"not delivered in {seconds} s: {[(d.json['id'], d.json['status']) for d in self.deliveries]}"
            return list(self.deliveries)

    def completed(self, prediction_id: str) -> list[Delivery]:
        """Terminal messages of one prediction."""
        return [each for each in self.deliveries if each.json["id"] == prediction_id and each.tells_an_end]


class SlowReceiver(Receiver):
    """Answers when it is told to, and knows how many requests it has had at once."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.may_answer.clear()
        self.at_once = self.most_at_once = 0

    def take(self, delivery: Delivery) -> int:
        with self._changed:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        status = super().take(delivery)
        with self._changed:
            self.at_once -= 1
        return status


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""
    with serving(Receiver) as receiver:
        yield receiver


@contextmanager
def receiving_slowly() -> Iterator[SlowReceiver]:
    """One that answers nobody until it may."""
    with serving(SlowReceiver) as receiver:
        yield receiver
        receiver.may_answer.set()


@contextmanager
def serving(kind: type[Kind]) -> Iterator[Kind]:
    """A receiver of any kind on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            if len(body := self.rfile.read(length)) < length:  # whoever sent it has died, so it never came
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Delivery(self.path, headers, body))
            self.send_response(status)
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(receiver.answer_body)))
            self.end_headers()
            if receiver.answer_body:
                self.wfile.write(receiver.answer_body)
            self.wfile.flush()
            receiver.answered()

        def log_message(self, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256  # with the usual five, connections made at once would wait for a second or more

        def handle_error(self, *arguments: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(*arguments)

    server = Server(("127.0.0.1", 0), Handler)
    receiver = kind(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
