"""Every failure Pinion names, in one tree; a class's docstring is its default message.

HTTP status codes do not appear here: what a failure means on the wire is decided in api/errors.py.

    PinionError
    ├── SettingsError
    ├── SecretUnreadable            what is encrypted in the database cannot be decrypted
    │   ├── KeyMissing
    │   └── Tampered
    ├── UnsupportedSchema
    ├── FileUnavailable             an input that is a file, or an output, cannot be had; the prediction fails
    ├── RequestError                the caller has to change something
    │   ├── MalformedRequest
    │   ├── MalformedBody
    │   ├── InvalidPush
    │   ├── InvalidUpload
    │   ├── BodyTooLarge
    │   ├── UnsupportedMediaType
    │   ├── InvalidRequest          carries one Problem for everything that is wrong
    │   │   └── InvalidWebhook
    │   ├── InvalidVersion
    │   ├── Unauthenticated
    │   ├── Forbidden
    │   ├── DeploymentStopped
    │   ├── DeploymentInUse
    │   ├── NotAcceptable
    │   ├── RangeNotSatisfiable     carries the size of the file
    │   ├── Throttled               carries the seconds until it may be tried again
    │   │   ├── TooManyAtOnce
    │   │   ├── QueueFull
    │   │   └── TooManyStreams
    │   ├── NotFound
    │   ├── StillNeeded             it cannot be removed yet; the message says what has to go first
    │   └── Conflict
    │       └── ModelBusy
    ├── Unavailable                 ours to repair; the same request may work later
    │   ├── Overloaded
    │   ├── QueueUnavailable
    │   ├── DatabaseUnavailable
    │   ├── ModelNotReady
    │   └── OutOfSpace
    └── OutboundError               a request to a foreign address got no answer
        ├── AddressBlocked
        ├── NameUnresolved
        ├── ConnectFailed
        ├── ConnectionLost
        ├── AnswerTimeout
        ├── AnswerRefused
        ├── AnswerTooLarge
        └── TooManyRedirects
"""

import inspect
from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class Problem(NamedTuple):
    """One entry of Replicate's `invalid_fields`; `type` is a name of the Go validator gojsonschema."""

    type: str
    field: str
    description: str


class PinionError(Exception):
    """Something went wrong."""

    title: ClassVar[str] = "Internal error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or type(self).__name__)
        super().__init__(self.message)


class SettingsError(PinionError):
    """The settings do not fit together."""


class SecretUnreadable(PinionError):
    """A secret in the database cannot be decrypted."""


class KeyMissing(SecretUnreadable):
    """A secret in the database is encrypted with a key that is not here."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"Secrets in the database are encrypted with the key {key_id}, which is not here: give it in "
            "PINION_ENCRYPTION_KEY, after the newest and a comma, or put encryption-key back into PINION_HOME."
        )


class Tampered(SecretUnreadable):
    """What is encrypted in the database has been changed, or belongs elsewhere."""

    def __init__(self, place: str) -> None:
        super().__init__(f"The secret kept as {place} was not encrypted there, or has been changed.")


class UnsupportedSchema(PinionError):
    """The model's input schema cannot be checked safely."""

    title = "Unsupported schema"


class RequestError(PinionError):
    """The request cannot be carried out as it stands."""

    title = "Bad request"


class MalformedRequest(RequestError):
    """A header or a query parameter cannot be read."""


class InvalidPush(RequestError):
    """The pushed files cannot be stored."""

    title = "Invalid push"


class InvalidUpload(RequestError):
    """The body is not the multipart/form-data of a file upload."""

    title = "Invalid upload"


class MalformedBody(RequestError):
    """The body is not valid JSON."""

    title = "Malformed body"


class BodyTooLarge(RequestError):
    """The body is larger than this server accepts."""

    title = "Body too large"


class UnsupportedMediaType(RequestError):
    """Send application/json."""

    title = "Unsupported media type"


class NotAcceptable(RequestError):
    """This address answers with text/event-stream, which the Accept header of the request excludes."""

    title = "Not acceptable"


class RangeNotSatisfiable(RequestError):
    """The file has no such range."""

    title = "Range not satisfiable"

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The file has {size} bytes, and none in this range.")


class InvalidRequest(RequestError):
    """The request has invalid fields."""

    title = "Input validation failed"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("".join(_line(problem) for problem in self.problems))


class InvalidWebhook(InvalidRequest, ValueError):
    """The webhook URL is not acceptable."""

    def __init__(self, sentence: str) -> None:
        super().__init__([Problem("format", "webhook", sentence)])


class InvalidVersion(RequestError):
    """The specified version does not exist (or perhaps you don't have permission to use it?)"""

    title = "Invalid version or not permitted"


class Unauthenticated(RequestError):
    """You did not pass a valid authentication token"""

    title = "Unauthenticated"


class Forbidden(RequestError):
    """Your token does not allow this."""

    title = "Forbidden"


class DeploymentStopped(RequestError):
    """The deployment is stopped: its max_instances is 0. Set it to 1 or more to run predictions."""

    title = "Deployment stopped"


class DeploymentInUse(RequestError):
    """The deployment is in use."""

    title = "Deployment in use"


class Throttled(RequestError):
    """Too many requests of this account."""

    title = "Request was throttled"

    def __init__(self, retry_after: int, message: str | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message or f"Request was throttled. Your rate limit resets in ~{retry_after}s.")


class TooManyAtOnce(Throttled):
    """The account has as many predictions waiting and running as it may have at once."""

    _RETRY_SECONDS = 5

    def __init__(self, most: int) -> None:
        advice = "Create more when some of them have ended."
        message = f"You have {most} predictions that wait or run, the most there may be at once. {advice}"
        super().__init__(self._RETRY_SECONDS, message)


class QueueFull(Throttled):
    """The queue of the model is full."""

    title = "Queue full"

    def __init__(self, model: str, places: int, retry_after: int) -> None:
        seconds = max(retry_after, 1)
        full = f"The queue for this model is full: {places} predictions may wait for {model}."
        super().__init__(seconds, f"{full} Try again in about {seconds} s.")


class TooManyStreams(Throttled):
    """No more streams may be open at once."""

    title = "Too many open streams"


class NotFound(RequestError):
    """The requested resource could not be found."""

    title = "Not found"


class StillNeeded(RequestError):
    """It is still needed, and so not removed."""

    title = "Still needed"


class Conflict(RequestError):
    """The resource is in a state that forbids this."""

    title = "Conflict"


class ModelBusy(Conflict):
    """Already running a prediction"""


class Unavailable(PinionError):
    """The service cannot do this at the moment."""

    title = "Service unavailable"


class Overloaded(Unavailable):
    """As many predictions wait as this server keeps. Try again when some of them have ended."""

    title = "Overloaded"


class QueueUnavailable(Unavailable):
    """The queue is not reachable at the moment."""


class DatabaseUnavailable(Unavailable):
    """The database is not reachable at the moment."""


class ModelNotReady(Unavailable):
    """The model is not ready to run predictions."""


class OutOfSpace(Unavailable):
    """The server has no room left to store this. Its operator has to free some."""

    title = "Insufficient storage"


class FileUnavailable(PinionError):
    """A file of the prediction could not be fetched or stored."""


class OutboundError(PinionError):
    """The request to the other server got no answer."""


class AddressBlocked(OutboundError):
    """address not allowed by policy"""


class NameUnresolved(OutboundError):
    """the host name could not be resolved"""


class ConnectFailed(OutboundError):
    """no connection could be made"""


class ConnectionLost(OutboundError):
    """the connection broke before the answer was complete"""


class AnswerTimeout(OutboundError):
    """no complete answer in time"""


class AnswerRefused(OutboundError):
    """the server answered with an error"""


class AnswerTooLarge(OutboundError):
    """the answer is too large"""


class TooManyRedirects(OutboundError):
    """too many redirects"""


def _line(problem: Problem) -> str:
    """One line of `detail` as Replicate writes it: the path is missing when the whole body is meant."""
    where = f"{problem.field}: " if problem.field else ""
    return f"- {where}{problem.description}\n"
