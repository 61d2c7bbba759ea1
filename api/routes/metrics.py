"""Figures for Prometheus, of this process and of what the database knows.

They tell of everybody's models, so they are for whoever runs Pinion: a token of the first account reads them.
"""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from api import figures
from api.dependencies import ModelReader, Wired
from api.documentation import answers
from shared.accounts import DEFAULT_USERNAME
from shared.errors import Forbidden

router = APIRouter(tags=["health"])

_process = ProcessCollector(registry=CollectorRegistry())


class _Collected:
    """What prometheus-client renders; it asks in the middle of its work, when nothing can be awaited."""

    def __init__(self, *found: Metric) -> None:
        self._found = found

    def collect(self) -> tuple[Metric, ...]:
        return self._found


@router.get(
    "/metrics",
    operation_id="metrics.get",
    response_class=Response,
    responses=answers(200, "The figures", {"text/plain": {"schema": {"type": "string"}}}),
)
async def read_metrics(request: Request, caller: ModelReader, wired: Wired) -> Response:
    """Figures in Prometheus' text format, for tokens of the first account."""
    if caller.username != DEFAULT_USERNAME:
        raise Forbidden("These figures tell of everybody's models. Read them with the token of PINION_API_TOKEN.")
    own = (*_process.collect(), *request.app.state.http_seconds.collect())
    shown = generate_latest(_Collected(*own, *await figures.read(wired)))
    return Response(shown, media_type=CONTENT_TYPE_LATEST)
