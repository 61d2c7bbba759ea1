"""A real server of files on loopback: GET gives what it holds, PUT adds to it.

`answers` are the statuses of the next requests, then 200 or 404; `location` is the header it answers a PUT with.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Depot:
    """Started by `storing_files`; paths are as they come, quoted and with their query."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.redirects: dict[str, str] = {}
        self.answers: list[int] = []
        self.location = ""
        self.requests: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def take(self, method: str, path: str) -> int:
        self.requests.append(f"{method} {path}")
        self.may_answer.wait(15)
        if self.answers:
            return self.answers.pop(0)
        return 302 if path in self.redirects else 200


@contextmanager
def storing_files() -> Iterator[Depot]:
    """A depot on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status = depot.take("GET", self.path)
            held = depot.files.get(self.path)
            self._answer(404 if held is None and status == 200 else status, held or b"", depot.redirects.get(self.path))

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            status = depot.take("PUT", self.path)
            if status == 200:
                depot.files[self.path] = content
                depot.headers[self.path] = {name.lower(): value for name, value in self.headers.items()}
            self._answer(status, b"", depot.location)

        def _answer(self, status: int, body: bytes, location: str | None) -> None:
            self.send_response(status)
            if location:
                self.send_header("location", location)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError):  # whoever asked may have left
                self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    depot = Depot(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield depot
    finally:
        depot.may_answer.set()
        server.shutdown()
        server.server_close()
        thread.join()
