"""A bad line: passes bytes on to a server and cuts the connection in the middle.

It knows nothing of HTTP.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class CuttingProxy:
    """Cuts each connection that is to pass more than `cut_after_bytes`, as many times as there are `cuts` left.

    Counted is what the client sends, or with `of_answers` what the server does.
    """

    target: str
    cut_after_bytes: int
    cuts: int
    of_answers: bool = False
    address: str = ""
    sent_bytes: int = 0
    made_cuts: int = 0

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed at the end of the test
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((urlsplit(self.target).hostname, urlsplit(self.target).port or 80))
                for source, sink, is_request in ((client, server, True), (server, client, False)):
                    thread = threading.Thread(target=self._pass_on, args=(source, sink, is_request), daemon=True)
                    thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        passed = 0
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                passed += len(piece)
                is_counted = is_request != self.of_answers
                if is_counted and passed > self.cut_after_bytes and self.made_cuts < self.cuts:
                    self.made_cuts += 1
                    break
                sink.sendall(piece)
                self.sent_bytes += len(piece) if is_request else 0
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def cutting(
    target: str, cut_after_bytes: int = 1 << 30, cuts: int = 0, *, of_answers: bool = False
) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(target, cut_after_bytes, cuts, of_answers)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
