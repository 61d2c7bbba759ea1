"""A real web server on loopback that gives out files, redirects, or behaves badly.

Nothing is asserted here; the tests look at what was asked for.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class FileServer:
    """Started by `serving_files`; what a path does is set in `behaviours`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.behaviours: dict[str, Behaviour] = {}
        self.asked: list[str] = []
        self.is_over = threading.Event()

    def gives(self, path: str, content: bytes, **headers: str) -> str:
        """The address under which there is this content."""
        return self.does(path, lambda handler: _answer(handler, 200, content, headers))

    def refuses(self, path: str, status: int) -> str:
        return self.does(path, lambda handler: _answer(handler, status, b"<html>no</html>", {}))

    def redirects(self, path: str, location: str) -> str:
        return self.does(path, lambda handler: _answer(handler, 302, b"", {"Location": location}))

    def never_ends(self, path: str, pause_seconds: float) -> str:
        """A body without a length, a little piece after each pause."""

        def drip(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.close_connection = True
            while not self.is_over.wait(pause_seconds):
                handler.wfile.write(b"." * 100)

        return self.does(path, drip)

    def does(self, path: str, behaviour: Behaviour) -> str:
        self.behaviours[path] = behaviour
        return self.url + path


def _answer(handler: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def serving_files() -> Iterator[FileServer]:
    """A server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(self.path)
            with suppress(OSError):
                server.behaviours[self.path](self)

        def log_message(self, *arguments: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    server = FileServer(listener.server_address[1])
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
