"""Which HTTP status a failure gets, and its problem-JSON; the only room that knows both.

Nothing raises here, and no offending value is repeated to the client.
"""

import errno
from typing import Any, cast

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from shared import errors

_log = structlog.get_logger()

STATUS: dict[type[errors.PinionError], int] = {
    errors.MalformedRequest: 400,
    errors.MalformedBody: 400,
    errors.InvalidPush: 422,
    errors.InvalidUpload: 422,
    errors.UnsupportedSchema: 422,
    errors.BodyTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.InvalidRequest: 422,
    errors.InvalidVersion: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.DeploymentStopped: 422,
    errors.DeploymentInUse: 422,
    errors.NotAcceptable: 406,
    errors.RangeNotSatisfiable: 416,
    errors.Throttled: 429,
    errors.NotFound: 404,
    errors.StillNeeded: 422,  # one official client repeats whatever is answered with 409
    errors.Conflict: 409,
    errors.Unavailable: 503,
    errors.OutOfSpace: 507,
}
"""A class not listed has the status of its nearest listed ancestor."""

_HTTP = {
    404: (errors.NotFound.title, "The requested resource could not be found."),
    405: ("Method not allowed", "This method is not allowed here."),
}


_UNREACHABLE = ("08", "25006", "53", "55", "57")
"""Classes of SQLSTATE: connection lost, no writes taken, out of resources, not accepting, shutting down."""


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """One error answer."""
    body = {"title": title, "detail": detail, "status": status, **more}
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}.get(status, {})
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Make every failure leave the app in this form."""
    app.add_exception_handler(errors.PinionError, _named)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _parameters)
    for unreachable in (OperationalError, InterfaceError, PoolTimeoutError, RedisError, OSError):
        app.add_exception_handler(unreachable, _unavailable)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def _named(request: Request, error: Exception) -> Response:
    error = cast(errors.PinionError, error)
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if isinstance(error, errors.InvalidRequest):
        fields = [entry._asdict() for entry in error.problems]
        return problem(status, error.title, error.message, invalid_fields=fields)
    if isinstance(error, errors.Throttled):
        answer = problem(status, error.title, error.message, retry_after=error.retry_after)
        answer.headers["Retry-After"] = str(error.retry_after)  # whole seconds: the clients read nothing else
        return answer
    answer = problem(status, error.title, error.message)
    if isinstance(error, errors.RangeNotSatisfiable):
        answer.headers["Content-Range"] = f"bytes */{error.size}"
    return answer


def _http(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    title, detail = _HTTP.get(error.status_code, (error.detail, error.detail))
    answer = problem(error.status_code, title, detail)
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = _allowed(request)
    return answer


def _allowed(request: Request) -> str:
    """The methods of an address: Starlette names those of the first route alone."""
    here = request.scope["path"]
    routes = iter_route_contexts(request.app.routes)
    methods = [route.methods or () for route in routes if route.path and compile_path(route.path)[0].match(here)]
    return ", ".join(sorted({method for some in methods for method in some}))


def _parameters(request: Request, error: Exception) -> Response:
    """Query parameters and headers FastAPI could not read; bodies are read by us."""
    error = cast(RequestValidationError, error)
    found = [errors.Problem("invalid_type", str(entry["loc"][-1]), str(entry["msg"])) for entry in error.errors()]
    return _named(request, errors.InvalidRequest(found))


def _unavailable(request: Request, error: Exception) -> Response:
    if _is_full(error):
        _log.error("no room left", path=request.url.path)
        return _named(request, errors.OutOfSpace())
    _log.warning("dependency unreachable", path=request.url.path, error=type(error).__name__)
    return _named(request, errors.DatabaseUnavailable())


def _is_full(error: Exception) -> bool:
    """Whether a disk has no room: a file's, or that of SQLite."""
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    return name == "SQLITE_FULL" or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


def _database(request: Request, error: Exception) -> Response:
    """asyncpg tells of lost and refused connections by its general error; the SQLSTATE says more."""
    lost = cast(DBAPIError, error)
    state = str(getattr(lost.orig, "sqlstate", None) or "")
    if lost.connection_invalidated or state.startswith(_UNREACHABLE):
        return _unavailable(request, error)
    return _unexpected(request, error)


def _gone(request: Request, error: Exception) -> Response:
    """A client that left before its body was complete; nobody hears this answer."""
    return _named(request, errors.MalformedBody("The body was cut short."))


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("unexpected failure", path=request.url.path, exc_info=error)
    detail = "Something went wrong on our side. The server's log says what, beside the X-Request-Id of this answer."
    return problem(500, "Internal error", detail)
