"""A line between a service and a server that a test can make slow, deaf, torn or dead, whatever it carries.

All lines live in one thread of their own, so that a test that blocks does not hold up what it tests.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_PIECE_BYTES = 1 << 16


@dataclass(eq=False)
class Line:
    """Passes bytes to `target`, a port of this host, unless it is told otherwise; `heal` ends all that."""

    target: int
    loop: asyncio.AbstractEventLoop
    port: int = 0
    passed_bytes: int = 0
    cuts: int = 0
    _delay: float = 0.0
    _is_deaf: bool = False
    _refuses: bool = False
    _cut_after: int = 0
    _cuts_answers: bool = True
    _may_pass: dict[bool, asyncio.Event] = field(
        default_factory=lambda: {True: asyncio.Event(), False: asyncio.Event()}
    )
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _torn: set[asyncio.StreamWriter] = field(default_factory=set)

    def heal(self) -> None:
        """Pass everything again; connections that lost bytes are reset, as by a server that knows nothing of them."""

        def act() -> None:
            self._delay, self._is_deaf, self._refuses, self._cut_after = 0.0, False, False, 0
            for event in self._may_pass.values():
                event.set()
            _abort(self._torn)
            self._torn.clear()

        self._do(act)

    def delay(self, seconds: float) -> None:
        """Each piece takes longer."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def swallow(self) -> None:
        """Accept all and pass nothing: half-open, without a word to either side."""
        self._do(lambda: setattr(self, "_is_deaf", True))

    def stall(self, *, requests: bool = True, answers: bool = True) -> None:
        """Hold what goes in a direction until `heal`, as a network that comes back does."""

        def act() -> None:
            for is_request, is_held in ((True, requests), (False, answers)):
                if is_held:
                    self._may_pass[is_request].clear()

        self._do(act)

    def reset(self, *, refuse: bool = False) -> None:
        """Reset all connections, and with `refuse` each new one."""

        def act() -> None:
            self._refuses = refuse
            _abort(self._ends)

        self._do(act)

    def cut_after(self, passed: int, *, answers: bool = True) -> None:
        """Reset each connection once it has passed so many bytes more of its answers, or of its requests."""

        def act() -> None:
            self._cut_after, self._cuts_answers = passed, answers

        self._do(act)

    def _do(self, act: Any) -> None:
        async def done() -> None:
            act()

        asyncio.run_coroutine_threadsafe(done(), self.loop).result(5)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            ways = ((reader, far_writer, True), (far_reader, writer, False))
            await asyncio.gather(*(self._pass(*way, ends) for way in ways))
        finally:
            self._ends -= ends
            self._torn -= ends
            _abort(ends)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        is_request: bool,
        ends: set[asyncio.StreamWriter],
    ) -> None:
        passed = 0
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                await self._may_pass[is_request].wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._is_deaf:
                    self._torn |= ends
                    continue
                passed += len(piece)
                if self._cut_after and is_request != self._cuts_answers and passed > self._cut_after:
                    self.cuts += 1
                    _abort(ends)
                    return
                writer.write(piece)
                await writer.drain()
                self.passed_bytes += len(piece)
        with suppress(OSError, RuntimeError):
            if writer.can_write_eof():
                writer.write_eof()


class Exchange:
    """Opens lines; ended by leaving `exchange`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._servers: list[asyncio.Server] = []
        self._carriers: set[asyncio.Task[Any]] = set()

    def line(self, target: int) -> Line:
        """A line to a port of this host."""
        return self._call(self._open(target))

    async def _open(self, target: int) -> Line:
        line = Line(target, self._loop)
        for event in line._may_pass.values():
            event.set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(line._carry(reader, writer))
            self._carriers.add(task)
            task.add_done_callback(self._carriers.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        line.port = server.sockets[0].getsockname()[1]
        return line

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._carriers):
            task.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    def close(self) -> None:
        self._call(self._close())

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def exchange() -> Iterator[Exchange]:
    """Where lines are opened, as long as one is inside."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lines")
    thread.start()
    lines = Exchange(loop)
    try:
        yield lines
    finally:
        lines.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _abort(writers: set[asyncio.StreamWriter]) -> None:
    for writer in list(writers):
        writer.transport.abort()
