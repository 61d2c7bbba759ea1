"""The parent side of one model process: start it, send it predictions, hear its events, cancel, bury it.

No database, queue, HTTP or webhook is known here. The frames are listed in runtime/pinion_runtime/frames.py.
"""

import asyncio
import codecs
import json
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from worker.cell import Stay, open_cell
from worker.child import describe_death, spawn
from worker.enclosure import Enclosure
from worker.events import Done, Event, Log, Metric, Output, SetupFailed, Take
from worker.frames import Lines, start_frame
from worker.health import Health, HealthCheck
from worker.manifest import Manifest, read_manifest
from worker.numbers import Numbers
from worker.running import Run, when_taken

CANCEL_GRACE = timedelta(milliseconds=500)

_SETUP_LOGS_CHARACTERS = 1 << 18
_STRAY_LOGS_CHARACTERS = 1 << 16
_ENDED_TO_CANCEL = "The model process was stopped because a prediction could not be canceled otherwise."
_STOPPED = "The model process was stopped."
_STARTS_AGAIN = ". It will be started again for the next prediction."


class ModelProcess:
    """Start it with `await ModelProcess.start(folder)`; whoever starts it must `await stop()` it."""

    def __init__(self, on_setup_log: Callable[[str], None] | None = None, sequel: str = ".") -> None:
        self.schema: dict[str, Any] = {}  # OpenAPI document
        self.concurrency = 1  # predictions it can run at once; more wait for their turn
        self.is_iterator, self.has_healthcheck, self.setup_logs = False, False, ""
        self.stray_logs = ""  # the last of what was printed while it was not clear by which prediction, or by none
        self.fault: str | None = None  # why it ended, unless that was our doing
        self.figures = Numbers()  # what it tells of itself
        self._on_setup_log, self._sequel = on_setup_log or (lambda text: None), sequel
        self._loop = asyncio.get_running_loop()
        self._described, self._set_up = asyncio.Event(), asyncio.Event()
        self._setup_error: str | None = None
        self._impatience: asyncio.TimerHandle | None = None
        self._health = HealthCheck(self._send)
        self._runs: dict[str, Run] = {}  # in the order in which they were sent, which is that in which they begin
        self._why_ended: str | None = None  # set when we end the process, not when it ends itself
        self._lines, self._decoder = Lines(), codecs.getincrementaldecoder("utf-8")("replace")

    @classmethod
    async def start(
        cls,
        source: Path,
        *,
        mode: Literal["predict", "train"] = "predict",
        python: Path | None = None,
        weights: Path | None = None,
        enclosure: Enclosure | None = None,
        setup_limit: timedelta | None = None,
        on_setup_log: Callable[[str], None] | None = None,
    ) -> "ModelProcess":
        """Returns when the model is imported and its schema known; setup() then goes on, see ready().

        Both together may take `setup_limit`. setup() is handed `weights`, if there are some, in place of what else it
        would be. In mode `train` its predictions are trainings.
        """
        manifest = await asyncio.to_thread(read_manifest, source)
        first = start_frame(manifest, mode)
        model = cls(on_setup_log, _STARTS_AGAIN if mode == "predict" else ".")
        await model._spawn(source, manifest, python or Path(sys.executable), weights, enclosure)
        try:
            model._limit_setup(setup_limit)
            model._send(first)
            await model._described.wait()
            if not model.schema:  # else setup() is what failed, however soon: that is told by ready()
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

    async def predict(
        self,
        prediction_id: str,
        input: dict[str, Any],
        take: Take,
        *,
        files: Sequence[str] = (),
        context: dict[str, str] | None = None,
    ) -> Done:
        """Runs one prediction. Every failure of the model is a Done.

        `files` names the values of `input` that are paths of local files, like `image` and `images.0`.
        More than `concurrency` at once are run one after the other, but what one prints while the parent has not yet
        heard that the one before it is over counts as printed by that one: users give seats.
        """
        if prediction_id in self._runs:
            raise ValueError("this prediction is already running in this process")
        if not self.alive:
            return Done("failed", error="The model process had ended before the prediction could start.")
        self._read_logs()  # what was printed between predictions belongs to none
        run = self._runs[prediction_id] = Run(prediction_id, take, self._loop.create_future())
        given = {"input": input, "files": list(files), "context": context or {}}
        self._send({"type": "predict", "id": prediction_id, **given})
        try:
            return await run.done
        except asyncio.CancelledError:
            run.ignore()
            self.cancel(prediction_id)
            raise

    def stay(self, prediction_id: str) -> Stay:
        """Until it is ended, what the prediction has made is there to be read; then what it left is removed."""
        return self._child.cell.stay(prediction_id)

    def cancel(self, prediction_id: str) -> bool:
        """Asks, and ends the process if that does not help in time. Harmless at any time; whether it was news."""
        run = self._runs.get(prediction_id)
        if run is None or run.is_canceling:
            return False
        run.is_canceling = True
        self._send({"type": "cancel", "id": prediction_id})
        self._give_grace()
        return True

    async def healthcheck(self) -> Health:
        """What the model's own healthcheck() says; well as long as it lives when it has none or is not yet ready."""
        if not self.alive:
            return Health(False, self._why_ended or "The model process has ended.")
        return await self._health.ask() if self.has_healthcheck and self._set_up.is_set() else Health(True)

    @property
    def complaint(self) -> str | None:
        """Why it was not well when it was last asked."""
        return self._health.complaint

    @property
    def _running(self) -> list[Run]:
        return list(islice(self._runs.values(), self.concurrency)) if self._set_up.is_set() else []

    @property
    def alive(self) -> bool:
        return self._why_ended is None and self._child.is_running

    @property
    def is_set_up(self) -> bool:
        return self._set_up.is_set()

    @property
    def printed(self) -> str:
        """The last of what it printed outside predictions: during setup and after."""
        return self.setup_logs + self.stray_logs

    @property
    def group(self) -> int:
        """Of the process and all that it has started."""
        return self._child.process.pid

    async def wait_closed(self) -> None:
        await asyncio.shield(self._burial)

    async def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Lets the process leave within the grace, then ends its whole group. May be called again.

        During setup it hears nothing, so it is ended at once.
        """
        self._why_ended = self._why_ended or _STOPPED
        self._child.control.close()  # the end of file tells it to leave
        if not self._burial.done():
            seconds = grace.total_seconds() if self.is_set_up else 0.0
            impatience = self._loop.call_later(seconds, self._end, self._why_ended)
            self._burial.add_done_callback(lambda burial: impatience.cancel())
        await self.wait_closed()

    async def _spawn(
        self, source: Path, manifest: Manifest, python: Path, weights: Path | None, enclosure: Enclosure | None
    ) -> None:
        cell = await open_cell(source, python, enclosure)
        handed = {"COG_WEIGHTS": str(weights)} if weights else {}
        environment = manifest.environment(python, cell.variables, is_secluded=cell.is_sandboxed)
        try:
            self._child = await spawn(cell, python, source, {**environment, **handed})
        except BaseException:
            await cell.leave()
            raise
        self._loop.add_reader(self._child.frames, self._read_frames)
        self._loop.add_reader(self._child.logs, self._read_logs)
        self._burial = self._loop.create_task(self._bury())

    def _send(self, frame: dict[str, Any]) -> None:
        self._child.send(json.dumps(frame, separators=(",", ":")).encode() + b"\n")

    def _read_frames(self) -> bool:
        received = self._child.read(self._child.frames)
        # What was printed before these frames were written is in the log pipe by now, and belongs before them.
        self._read_logs()
        for line in self._lines.take(received):
            self._take_frame(line)
        return bool(received)

    def _read_logs(self) -> None:
        self._take_log(self._decoder.decode(self._child.read(self._child.logs)))

    def _take_log(self, text: str) -> None:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # no database takes it
        if text and not self._set_up.is_set():
            self.setup_logs = (self.setup_logs + text)[-_SETUP_LOGS_CHARACTERS:]
            self._on_setup_log(text)
        elif text and len(self._running) == 1:
            self._give_log(self._running[0], text)
        elif text:
            self._stray(text)

    def _take_frame(self, line: bytes) -> None:
        try:
            frame = json.loads(line)
            self._act_on(frame, self._runs.get(frame.get("id", "")))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            self._lines.close()  # something in the model writes to our descriptor: nothing can be trusted now
            self._end("The model process sent something that is no frame.")

    def _act_on(self, frame: dict[str, Any], run: Run | None) -> None:
        match frame["type"]:
            case "schema":
                self.schema, self.is_iterator = frame["openapi"], frame["iterator"]
                self.has_healthcheck = frame["healthcheck"]
                self._described.set()
            case "healthcheck":
                self._health.hear(frame["number"], frame["error"])
            case "metric" if frame["id"] is None:
                self.figures.hear(Metric(frame["name"], frame["value"], frame["mode"]))
            case "log" if run is None:
                self._stray(frame["text"])
            case "ready":
                self.concurrency = frame["concurrency"]
                self._end_setup(None)
            case "setup_failed":
                self._end_setup(frame["error"])
            case _ if run is not None:  # else nobody waits for it any more
                self._act_on_run(frame, run)

    def _act_on_run(self, frame: dict[str, Any], run: Run) -> None:
        match frame["type"]:
            case "output":
                taking = self._give(run, Output(self._child.cell.from_inside(frame["value"])))
                if frame.get("waits"):
                    when_taken(run, taking, lambda: self._send({"type": "taken", "id": run.id}))
            case "metric":
                self._give(run, Metric(frame["name"], frame["value"], frame["mode"]))
            case "log":
                self._give_log(run, frame["text"])
            case "interrupted":
                run.is_heard = True
            case "done":
                output = self._child.cell.from_inside(frame["output"])
                self._child.cell.note_left(run.id, frame["left"])
                self._finish(run, Done(frame["status"], output, frame["error"], frame["predict_time"]))

    def _give(self, run: Run, event: Event) -> "asyncio.Future[None] | None":
        try:
            return run.take(event)
        except Exception as error:  # the caller's own failure; the frames behind this one must still be read
            run.ignore()
            if not run.done.done():
                run.done.set_exception(error)
            self.cancel(run.id)
            return None

    def _give_log(self, run: Run, text: str) -> None:
        if shown := run.logs.take(text):
            self._give(run, Log(shown))

    def _stray(self, text: str) -> None:
        self.stray_logs = (self.stray_logs + text)[-_STRAY_LOGS_CHARACTERS:]

    def _limit_setup(self, limit: timedelta | None) -> None:
        if limit is not None:
            why = f"The model was not set up within {limit.total_seconds():g} seconds."
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

    def _finish(self, run: Run, done: Done) -> None:
        if self._running == [run]:
            self._take_log(self._decoder.decode(b"", final=True))
        if rest := run.logs.rest():
            self._give(run, Log(rest))
        if run.impatience is not None:
            run.impatience.cancel()
        del self._runs[run.id]
        run.settle(done)
        self._give_grace()

    def _give_grace(self) -> None:
        """A canceled prediction that has not yet had its turn must not cost another one its process."""
        for run in self._running:
            if run.is_canceling and run.impatience is None:
                grace = CANCEL_GRACE.total_seconds()
                run.impatience = self._loop.call_later(grace, self._lose_patience, run)

    def _lose_patience(self, run: Run) -> None:
        """Others that run beside it are spared as long as the model still listens; until then it keeps its place."""
        if run.is_heard and any(not other.is_canceling for other in self._running):
            run.ignore()
            run.settle(Done("canceled"))
            run.impatience = None  # and when they are over, it is its turn again
        else:
            self._end(_ENDED_TO_CANCEL)

    def _end(self, why: str) -> None:
        """Ends the process, and with it all that it has started."""
        self._why_ended = self._why_ended or why
        self._child.kill()

    async def _bury(self) -> None:
        """Waits for the end of the process and tells everyone who waits for it."""
        death = describe_death(await self._child.wait())
        consequence = self._sequel if self._set_up.is_set() else " during setup."
        if self._why_ended not in (_STOPPED, _ENDED_TO_CANCEL):
            self.fault = self._why_ended or death
        self._end(death + consequence)  # also what it left running
        while self._read_frames():
            pass  # the frames it wrote before it ended
        self._end_setup(self._why_ended)
        self._health.close(self._why_ended or death)
        for run in list(self._runs.values()):
            self._finish(run, Done("canceled") if run.is_canceling else Done("failed", error=self._why_ended))
        self._child.close()
        await self._child.cell.leave()
