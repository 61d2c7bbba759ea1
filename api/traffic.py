"""How many requests this process has answered, and how long clients waited for the beginning of an answer.

Requests are counted by route, without the prefix, and never by what clients write: that must not make this grow.
"""

from time import perf_counter

from prometheus_client import CollectorRegistry, Histogram
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def histogram() -> Histogram:
    """One of its own for each app."""
    labels = ("method", "route", "status")
    text = "Until an answer began, in seconds."
    return Histogram("pinion_http_seconds", text, labels, registry=CollectorRegistry())


class Traffic:
    """To be wrapped around what does the routing."""

    def __init__(self, app: ASGIApp, seconds: Histogram) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._seconds.labels(*_labels(scope), message["status"]).observe(perf_counter() - began)
            await send(message)

        await self._app(scope, receive, count)


def _labels(scope: Scope) -> tuple[str, str]:
    """Method and route, as far as they are ours."""
    route = scope.get("route")
    if not isinstance(route, Route):
        return "none", "none"
    return (scope["method"] if scope["method"] in (route.methods or ()) else "none"), route.path
