"""I16: that `/livez` of each API answers all through a trial, asked by threads that nothing else holds up.

An API to which a test does something is not judged meanwhile.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from time import monotonic

from tests.faults.service import Service

_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 4.0
_SOON_SECONDS = 0.1
_LATEST_SECONDS = 0.5
_LATE_ONES = 0.05
"""The share of answers that may come later than soon, and one in any case: others start on the same cores."""


@dataclass(frozen=True)
class Beat:
    """One answer, or none, and how long it took."""

    api: str
    is_answer: bool
    seconds: float


@dataclass
class Pulse:
    """What was heard of all APIs so far."""

    apis: Sequence[Service]
    beats: list[Beat] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def missed(self, crowding: float) -> Iterable[str]:
        """Answers that did not come, or far too late, or too many that did not come soon."""
        for beat in self.beats:
            if not beat.is_answer or beat.seconds > _LATEST_SECONDS * crowding:
                yield f"{beat.api} {'took' if beat.is_answer else 'did not answer within'} {beat.seconds:.2f} s"
        late = [beat for beat in self.beats if beat.seconds > _SOON_SECONDS * crowding]
        if len(late) > max(1.0, _LATE_ONES * len(self.beats)):
            yield f"{len(late)} of {len(self.beats)} answers were late: {late}"

    def feel(self, api: Service) -> None:
        """Ask one API again and again. Once it was started it may take its time, until it has answered."""
        known = None
        while not self._is_over.wait(_PAUSE_SECONDS):
            process, since, began = api.process, api.undisturbed_since, monotonic()
            if since > began:
                continue
            is_answer = _answers(api.port)
            seconds = monotonic() - began
            if is_answer:
                known = process
            elif self._is_over.wait(_PAUSE_SECONDS):  # who has just died is not known to be dead at once
                return
            if known is process is api.process and api.is_up and api.undisturbed_since == since:
                self.beats.append(Beat(api.name, is_answer, seconds))

    def stop(self) -> None:
        self._is_over.set()


@contextmanager
def feeling(apis: Sequence[Service]) -> Iterator[Pulse]:
    """The pulse of APIs, as long as one is inside."""
    pulse = Pulse(apis)
    threads = [threading.Thread(target=pulse.feel, args=(api,), name=f"pulse of {api.name}") for api in apis]
    for thread in threads:
        thread.start()
    try:
        yield pulse
    finally:
        pulse.stop()
        for thread in threads:
            thread.join()


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
