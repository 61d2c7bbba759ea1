"""The parent side of one model process: start it, send it predictions, hear its events, cancel, bury it.

No database, queue, HTTP or webhook is known here. The frames are listed in runtime/pinion_runtime/frames.py.
"""

import asyncio
import codecs
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from worker.events import Done, Event, Log, Metric, Output, SetupFailed
from worker.manifest import read_manifest

CANCEL_GRACE = timedelta(milliseconds=500)

_PROGRAM = Path(__file__).resolve().parent.parent / "runtime" / "pinion_runtime" / "main.py"
# More than a pipe holds (64 KiB; 1 MiB where pages are large), so one read empties it as it is at that moment.
_READ_BYTES = 1 << 20
_SETUP_LOGS_CHARACTERS = 1 << 18
_ENDED_TO_CANCEL = "The model process was stopped because a prediction could not be canceled otherwise."


class ModelProcess:
    """Start it with `await ModelProcess.start(folder)`; whoever starts it must `await stop()` it."""

    def __init__(self, on_setup_log: Callable[[str], None] | None = None) -> None:
        self.schema: dict[str, Any] = {}  # OpenAPI document
        self.concurrency = 1  # predictions it can run at once; more are run one after the other
        self.is_iterator, self.setup_logs = False, ""
        self._on_setup_log = on_setup_log or (lambda text: None)
        self._loop = asyncio.get_running_loop()
        self._described, self._set_up = asyncio.Event(), asyncio.Event()
        self._setup_error: str | None = None
        self._impatience: asyncio.TimerHandle | None = None
        self._runs: dict[str, _Run] = {}  # in the order in which they were sent, which is that in which they run
        self._why_ended: str | None = None  # set when we end the process, not when it ends itself
        self._line: list[bytes] = []  # a line that has arrived in part
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @classmethod
    async def start(
        cls,
        source: Path,
        *,
        python: Path | None = None,
        setup_limit: timedelta | None = None,
        on_setup_log: Callable[[str], None] | None = None,
    ) -> "ModelProcess":
        """Returns when the model is imported and its schema known; setup() then goes on, see ready().

        Both together may take `setup_limit`.
        """
        manifest = await asyncio.to_thread(read_manifest, source)
        model = cls(on_setup_log)
        python = python or Path(sys.executable)
        await model._spawn(source, python, manifest.environment(python))
        try:
            model._limit_setup(setup_limit)
            model._send({"type": "start", "reference": manifest.reference})
            await model._described.wait()
            if model._setup_error is not None:
                await model.ready()
        except BaseException:
            await model.stop(timedelta(0))
            raise
        return model

    async def ready(self) -> None:
        """Waits until setup() is over."""
        await self._set_up.wait()
        if self._setup_error is not None:
            raise SetupFailed(self._setup_error, self.setup_logs)

    async def predict(self, prediction_id: str, input: dict[str, Any], take: Callable[[Event], None]) -> Done:
        """Runs one prediction; `input` names files by local paths. Every failure of the model is a Done."""
        if prediction_id in self._runs:
            raise ValueError("this prediction is already running in this process")
        if not self.alive:
            return Done("failed", error="The model process had ended before the prediction could start.")
        self._read_logs()  # what was printed between predictions belongs to none
        run = self._runs[prediction_id] = _Run(prediction_id, take, self._loop.create_future())
        self._send({"type": "predict", "id": prediction_id, "input": input})
        try:
            return await run.done
        except asyncio.CancelledError:  # nobody wants its events any more
            run.take = lambda event: None
            self.cancel(prediction_id)
            raise

    def cancel(self, prediction_id: str) -> None:
        """Asks; if the prediction does not end within the grace, the process is ended. Harmless at any time."""
        run = self._runs.get(prediction_id)
        if run is None or run.is_canceling:
            return
        run.is_canceling = True
        self._send({"type": "cancel", "id": prediction_id})
        self._give_grace()

    @property
    def _running(self) -> "_Run | None":
        return next(iter(self._runs.values()), None) if self._set_up.is_set() else None

    @property
    def alive(self) -> bool:
        return self._why_ended is None and self._process.returncode is None

    async def wait_closed(self) -> None:
        await asyncio.shield(self._burial)

    async def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Lets the process leave within the grace, then ends its whole group. May be called again."""
        self._why_ended = self._why_ended or "The model process was stopped."
        self._control.close()  # the end of file tells it to leave
        if not self._burial.done():
            impatience = self._loop.call_later(grace.total_seconds(), self._end, self._why_ended)
            self._burial.add_done_callback(lambda burial: impatience.cancel())
        await self.wait_closed()

    async def _spawn(self, source: Path, python: Path, environment: dict[str, str]) -> None:
        control, frames, logs = os.pipe(), os.pipe(), os.pipe()
        self._frames, self._logs = frames[0], logs[0]
        self._control, _ = await self._loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(control[1], "wb", 0))
        command = [str(python), "-I", "-X", "utf8", str(_PROGRAM), str(control[0]), str(frames[1])]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=logs[1],
                stderr=logs[1],
                pass_fds=(control[0], frames[1]),
                cwd=source,
                env=environment,
                start_new_session=True,  # a group of its own, so that its children can be ended with it
            )
        except OSError as error:
            self._close()
            raise SetupFailed(f"{python} could not be started: {error.strerror}.") from error
        except BaseException:
            self._close()
            raise
        finally:
            for descriptor in (control[0], frames[1], logs[1]):
                os.close(descriptor)
        for descriptor, read in ((self._frames, self._read_frames), (self._logs, self._read_logs)):
            os.set_blocking(descriptor, False)
            self._loop.add_reader(descriptor, read)
        self._burial = self._loop.create_task(self._bury())

    def _send(self, frame: dict[str, Any]) -> None:
        if not self._control.is_closing():
            self._control.write(json.dumps(frame, separators=(",", ":")).encode() + b"\n")

    def _read_frames(self) -> bool:
        received = self._read(self._frames)
        # What was printed before these frames were written is in the log pipe by now, and belongs before them.
        self._read_logs()
        *lines, rest = received.split(b"\n")
        for line in lines:
            self._line, parts = [], [*self._line, line]
            self._take_frame(b"".join(parts))
        self._line.append(rest)
        return bool(received)

    def _read_logs(self) -> None:
        self._take_log(self._decoder.decode(self._read(self._logs)))

    def _read(self, descriptor: int) -> bytes:
        """Empty when there is nothing, now or for ever."""
        with contextlib.suppress(BlockingIOError):
            received = os.read(descriptor, _READ_BYTES)
            if not received:
                self._loop.remove_reader(descriptor)
            return received
        return b""

    def _take_log(self, text: str) -> None:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # no database takes it
        if text and not self._set_up.is_set():
            self.setup_logs = (self.setup_logs + text)[-_SETUP_LOGS_CHARACTERS:]
            self._on_setup_log(text)
        elif text and self._running is not None:
            self._give(self._running, Log(text))

    def _take_frame(self, line: bytes) -> None:
        try:
            frame = json.loads(line)
            self._act_on(frame, self._runs.get(frame.get("id", "")))
        except (ValueError, TypeError, LookupError, AttributeError):
            # something in the model writes to our descriptor; nothing that comes from it can be trusted now
            self._end("The model process sent something that is no frame.")

    def _act_on(self, frame: dict[str, Any], run: "_Run | None") -> None:
        match frame["type"]:
            case "schema":
                self.schema, self.concurrency = frame["openapi"], frame["concurrency"]
                self.is_iterator = frame["iterator"]
                self._described.set()
            case "ready" | "setup_failed":
                self._end_setup(frame.get("error"))
            case _ if run is None:
                pass  # nobody waits for it any more
            case "output":
                self._give(run, Output(frame["value"]))
            case "metric":
                self._give(run, Metric(frame["name"], frame["value"], frame["mode"]))
            case "done":
                self._finish(run, Done(frame["status"], frame["output"], frame["error"], frame["predict_time"]))

    def _give(self, run: "_Run", event: Event) -> None:
        try:
            run.take(event)
        except Exception as error:  # the caller's own failure; the frames behind this one must still be read
            run.take = lambda event: None
            run.done.set_exception(error)
            self.cancel(run.id)

    def _limit_setup(self, limit: timedelta | None) -> None:
        if limit is not None:
            why = f"The model was not set up within {limit.total_seconds():g} seconds (PINION_SETUP_SECONDS)."
            self._impatience = self._loop.call_later(limit.total_seconds(), self._end_setup, why)

    def _end_setup(self, error: str | None) -> None:
        if self._impatience:
            self._impatience.cancel()
        if not self._set_up.is_set():
            self._take_log(self._decoder.decode(b"", final=True))
            self._setup_error = error
            self._described.set()
            self._set_up.set()
            self._give_grace()
            if error is not None:
                self._end(error)  # some of its threads may go on, and hold memory

    def _finish(self, run: "_Run", done: Done) -> None:
        if run is self._running:
            self._take_log(self._decoder.decode(b"", final=True))
        if run.ending is not None:
            run.ending.cancel()
        del self._runs[run.id]
        if not run.done.done():
            run.done.set_result(done)
        self._give_grace()

    def _give_grace(self) -> None:
        """A canceled prediction that has not yet had its turn must not cost another one its process."""
        run = self._running
        if run is not None and run.is_canceling and run.ending is None:
            run.ending = self._loop.call_later(CANCEL_GRACE.total_seconds(), self._end, _ENDED_TO_CANCEL)

    def _end(self, why: str) -> None:
        """Ends the process, and with it all that it has started."""
        self._why_ended = self._why_ended or why
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _bury(self) -> None:
        """Waits for the end of the process and tells everyone who waits for it."""
        death = _describe_death(await self._process.wait())
        consequence = (
            ". It will be started again for the next prediction." if self._set_up.is_set() else " during setup."
        )
        self._end(death + consequence)  # also what it left running
        while self._read_frames():
            pass  # the frames it wrote before it ended
        self._end_setup(self._why_ended)
        for run in list(self._runs.values()):
            self._finish(run, Done("canceled") if run.is_canceling else Done("failed", error=self._why_ended))
        self._close()

    def _close(self) -> None:
        self._control.close()
        for descriptor in (self._frames, self._logs):
            self._loop.remove_reader(descriptor)
            os.close(descriptor)


@dataclass(slots=True, eq=False)
class _Run:
    id: str
    take: Callable[[Event], None]
    done: asyncio.Future[Done]
    is_canceling: bool = False
    ending: asyncio.TimerHandle | None = None


def _describe_death(code: int) -> str:
    if code >= 0:
        return f"The model process exited with code {code}"
    names = {known.value: f" ({known.name})" for known in signal.Signals}
    guess = ", probably because the machine ran out of memory" if -code == signal.SIGKILL else ""
    return f"The model process was killed by signal {-code}{names.get(-code, '')}{guess}"
