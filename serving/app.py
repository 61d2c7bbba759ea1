"""The paths of Cog's HTTP API and what each answers; which status a failure has is decided here alone.

Nothing is run here, and nothing is remembered between two requests.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from serving.model import Health, Model
from serving.prediction import Prediction
from serving.runs import Runs
from serving.wire import Message, Receive, Request, Send
from serving.wish import read_wish
from shared.errors import BodyTooLarge, InvalidRequest, ModelBusy, ModelNotReady, NotFound, PinionError, Problem

# The Cog whose API this is, as the model sees it too (runtime/cog).
COG_VERSION = "0.16.12"
_ADDRESSES = {
    "docs_url": "/docs",
    "openapi_url": "/openapi.json",
    "shutdown_url": "/shutdown",
    "healthcheck_url": "/health-check",
    "predictions_url": "/predictions",
    "predictions_idempotent_url": "/predictions/{prediction_id}",
    "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
}
_TRAINING_ADDRESSES = {
    "trainings_url": "/trainings",
    "trainings_idempotent_url": "/trainings/{training_id}",
    "trainings_cancel_url": "/trainings/{training_id}/cancel",
}
_STATUS: dict[type[PinionError], int] = {NotFound: 404, ModelBusy: 409, ModelNotReady: 503, BodyTooLarge: 413}
_TYPES = {"required": "value_error.missing"}

Handler = Callable[[Request], Awaitable[None]]


class App:
    """An ASGI application; `stop` ends the server."""

    def __init__(self, model: Model, predictions: Runs, trainings: Runs, stop: Callable[[], None]) -> None:
        self._model = model
        self._predictions = predictions
        self._runs = {"predictions": predictions, "trainings": trainings}
        self._stop = stop
        self._handlers: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._root},
            "/health-check": {"GET": self._health_check},
            "/openapi.json": {"GET": self._document},
            "/predictions": {"POST": partial(self._run, predictions)},
            "/trainings": {"POST": partial(self._run, trainings)},
            "/shutdown": {"POST": self._shut_down},
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handlers = self._handlers.get(request.path) or self._handlers_of_one(request.path)
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if not handlers:
            await request.answer(404, {"detail": "Not Found"})
        elif handler is None:
            allowed = (b"allow", ", ".join(handlers).encode())
            await request.answer(405, {"detail": "Method Not Allowed"}, allowed)
        else:
            await self._handle(handler, request)

    async def _handle(self, handler: Handler, request: Request) -> None:
        try:
            await handler(request)
        except InvalidRequest as refusal:
            await request.answer(422, {"detail": [_detail(problem) for problem in refusal.problems]})
        except (NotFound, ModelBusy, ModelNotReady, BodyTooLarge) as refusal:
            status = _STATUS[type(refusal)]
            await request.answer(status, {"detail": refusal.message, "error": refusal.message, "status": "failed"})

    def _handlers_of_one(self, path: str) -> Mapping[str, Handler]:
        match path.split("/"):
            case ["", kind, path_id] if kind in self._runs and path_id:
                return {"PUT": partial(self._run, self._runs[kind], path_id=path_id)}
            case ["", kind, path_id, "cancel"] if kind in self._runs and path_id:
                return {"POST": partial(self._cancel, self._runs[kind], path_id)}
        return {}

    async def _root(self, request: Request) -> None:
        interface = self._model.interface
        of_trainings = _TRAINING_ADDRESSES if interface and interface.is_trainable else {}
        await request.answer(200, {"cog_version": COG_VERSION, **_ADDRESSES, **of_trainings})

    async def _health_check(self, request: Request) -> None:
        complaint = await self._model.complaint()
        health = self._model.health
        if complaint is not None:
            health = Health.UNHEALTHY
        elif health == Health.READY and self._predictions.is_full:
            health = Health.BUSY
        told = {} if complaint is None else {"user_healthcheck_error": complaint}
        await request.answer(200, {"status": health, "setup": self._model.setup, **told})

    async def _document(self, request: Request) -> None:
        if self._model.interface is None:
            await request.answer(503, {"error": "OpenAPI schema not available"})
        else:
            await request.answer(200, self._model.interface.document)

    async def _shut_down(self, request: Request) -> None:
        await request.answer(200, {})
        self._stop()

    async def _cancel(self, runs: Runs, path_id: str, request: Request) -> None:
        await request.answer(200 if runs.cancel(path_id) else 404, {})

    async def _run(self, runs: Runs, request: Request, path_id: str | None = None) -> None:
        """With an id in the path, a prediction of that id that runs already is followed instead of begun."""
        is_stream = "text/event-stream" in request.headers.get("accept", "")
        raw = await request.body()
        wish = read_wish(raw, request.headers, runs.interface(), path_id)
        running = runs.find(wish.id) if path_id else None
        prediction = running or await runs.begin(wish)
        cancel = partial(runs.cancel, prediction.id)
        if is_stream:
            await request.stream(_events(prediction, cancel))
        elif running or _is_async(request):
            await request.answer(202, prediction.rendered())
        else:
            await _answer_at_end(request, prediction, cancel)


async def _answer_at_end(request: Request, prediction: Prediction, cancel: Callable[[], object]) -> None:
    """Whoever waits for the answer and leaves does not want it any more."""
    gone = asyncio.create_task(request.until_gone())
    await asyncio.wait({prediction.ended, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if prediction.ended.done():
        await request.answer(200, prediction.rendered())
    else:
        cancel()


async def _events(prediction: Prediction, cancel: Callable[[], object]) -> AsyncGenerator[bytes]:
    history = prediction.history
    history.readers += 1
    try:
        async for chunk in history.follow():
            yield chunk
    finally:
        history.readers -= 1
        if not history.readers and not prediction.ended.done():
            cancel()


def _is_async(request: Request) -> bool:
    wishes = request.headers.get("prefer", "").split(",")
    return "respond-async" in (wish.strip() for wish in wishes)


def _detail(problem: Problem) -> dict[str, Any]:
    """One entry of the list that both generations of Cog answer with."""
    field, text = problem.field, problem.description
    if problem.type == "required":
        field, text = f"{field}.{text.removesuffix(' is required')}", "Field required"
    steps = [int(step) if step.isdigit() else step for step in field.split(".") if step]
    return {"loc": ["body", *steps], "msg": text, "type": _TYPES.get(problem.type, "value_error")}
