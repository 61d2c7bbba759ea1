"""Predictions: create through two doors, read, list, cancel.

Running one is the worker's business; every change of status goes through `lifecycle`.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from sqlalchemy import Row, select

from api import waiting
from api.bodies import answer, checked
from api.dependencies import (
    Base,
    JsonBody,
    PredictionCreator,
    PredictionPoller,
    PredictionReader,
    PredictionWriter,
    Services,
    Wired,
)
from api.documentation import ERRORS, json_request
from api.paging import read_page
from api.versions_cache import Runnable, find_runnable
from shared import contract, files, lifecycle, rendering
from shared.contract import TERMINAL, WebhookEvent
from shared.errors import InvalidVersion, MalformedRequest, NotFound
from shared.tables import Prediction
from shared.webhooks import check_url

router = APIRouter(tags=["predictions"])

PAGE_SIZE = 100
WAIT_SECONDS_MAX = 55.0
"""Below the 60 s after which one official client gives up and asks again."""
_WAIT_MARGIN_SECONDS = 0.2
"""Clients stop listening half a second after the time they named."""
_CANCEL_SECONDS = 1.0
_PREFER_WAIT = re.compile(r"(?:^|,)\s*wait(?:\s*=\s*\"?(\d+(?:\.\d+)?)\"?)?\s*(?:,|;|$)", re.IGNORECASE)

Prefer = Annotated[list[str] | None, Header(description="`wait` or `wait=n`: hold the answer for up to n seconds.")]


@router.post(
    "/predictions",
    status_code=201,
    responses={201: {"model": contract.Prediction}, 202: {"model": contract.Prediction}, **ERRORS},
    openapi_extra=json_request(contract.VersionPredictionRequest),
)
async def create_prediction(
    caller: PredictionCreator, wired: Wired, base: Base, body: JsonBody, prefer: Prefer = None
) -> Response:
    """Run a version: by its id, or by `owner/name` for the newest one."""
    wanted = checked(contract.VersionPredictionRequest, body)
    found = await find_runnable(wired, caller.id, wanted.version)
    if found is None:
        raise InvalidVersion
    return await _create(wired, caller, base, found, wanted, prefer)


@router.post(
    "/models/{owner}/{name}/predictions",
    status_code=201,
    responses={201: {"model": contract.Prediction}, 202: {"model": contract.Prediction}, **ERRORS},
    openapi_extra=json_request(contract.PredictionRequest),
)
async def create_model_prediction(
    owner: str, name: str, caller: PredictionCreator, wired: Wired, base: Base, body: JsonBody, prefer: Prefer = None
) -> Response:
    """Run the newest version of a model."""
    found = await find_runnable(wired, caller.id, f"{owner}/{name}")
    if found is None:
        raise NotFound
    return await _create(wired, caller, base, found, checked(contract.PredictionRequest, body), prefer)


@router.get("/predictions", response_model=contract.PredictionPage, responses=ERRORS)
async def list_predictions(
    request: Request,
    caller: PredictionReader,
    wired: Wired,
    base: Base,
    cursor: Annotated[str | None, Query()] = None,
    created_after: Annotated[datetime | None, Query(description="Not before this moment.")] = None,
    created_before: Annotated[datetime | None, Query(description="Before this moment.")] = None,
) -> Response:
    """Your predictions, newest first."""
    query = select(Prediction.__table__).where(Prediction.account_id == caller.id)
    if created_after:
        query = query.where(Prediction.created_at >= _in_utc(created_after))
    if created_before:
        query = query.where(Prediction.created_at < _in_utc(created_before))
    page = await read_page(wired, query, Prediction, cursor, PAGE_SIZE)
    return answer(page.render(request, base, lambda row: rendering.prediction(row, base)))


@router.get("/predictions/{prediction_id}", response_model=contract.Prediction, responses=ERRORS)
async def get_prediction(prediction_id: str, caller: PredictionPoller, wired: Wired, base: Base) -> Response:
    """One prediction as it stands now."""
    return answer(rendering.prediction(await _own(wired, caller, prediction_id), base))


@router.post("/predictions/{prediction_id}/cancel", response_model=contract.Prediction, responses=ERRORS)
async def cancel_prediction(prediction_id: str, caller: PredictionWriter, wired: Wired, base: Base) -> Response:
    """Stop a prediction; one that has ended already is returned as it is."""
    row = await _own(wired, caller, prediction_id)
    if row.status not in TERMINAL:
        async with wired.database.transaction() as transaction:
            await lifecycle.cancel(transaction, prediction_id)
        ended = await waiting.until_finished(wired, prediction_id, _CANCEL_SECONDS)
        row = ended or await _own(wired, caller, prediction_id)
    return answer(rendering.prediction(row, base))


def _in_utc(moment: datetime) -> datetime:
    """A moment without a zone is taken for UTC."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise MalformedRequest("created_after or created_before lies outside of time in UTC.") from error


async def _own(wired: Services, caller: Row[Any], prediction_id: str) -> Row[Any]:
    row = await wired.lookups.find(prediction_id)
    if row is None or row.account_id != caller.id:
        raise NotFound
    return row


async def _create(
    wired: Services,
    caller: Row[Any],
    base: str,
    found: Runnable,
    wanted: contract.PredictionRequest,
    prefer: list[str] | None,
) -> Response:
    if file_ids := files.ids_in(wanted.input):
        await files.prolong(wired.database, caller.id, file_ids, wired.settings.upload_seconds)
    request = lifecycle.Request(
        account_id=caller.id,
        model=found.model,
        version_id=found.version_id,
        input=found.inputs.check(wanted.input),
        streams=found.is_iterator,
        **_webhook(wired, wanted),
    )
    async with wired.database.single_statement() as transaction:
        row = await lifecycle.create(transaction, request)
    seconds = wait_seconds(",".join(prefer or ()))
    if seconds is None:
        return answer(rendering.prediction(row, base), 201)
    ended = await waiting.until_finished(wired, row.id, seconds - _WAIT_MARGIN_SECONDS)
    headers = {"Preference-Applied": f"wait={seconds:g}"}
    if ended:
        return answer(rendering.prediction(ended, base), 201, headers)
    # The row as it was stored: clients take every status but `starting` for the final answer.
    return answer(rendering.prediction(row, base), 202, headers)


def _webhook(wired: Services, wanted: contract.PredictionRequest) -> dict[str, Any]:
    url = wanted.webhook_completed if wanted.webhook is None else wanted.webhook
    if url is None:
        return {}
    check_url(url, wired.settings.webhook_allow_cidrs)
    if wanted.webhook is None:
        return {"webhook": url, "webhook_events": (WebhookEvent.COMPLETED,)}
    events = WebhookEvent if wanted.webhook_events_filter is None else dict.fromkeys(wanted.webhook_events_filter)
    return {"webhook": url, "webhook_events": tuple(events)}


def wait_seconds(prefer: str) -> float | None:
    """Seconds to hold a create for, or None; what cannot be read is no wish, as RFC 7240 has it."""
    found = _PREFER_WAIT.search(prefer)
    if not found:
        return None
    return min(max(float(found[1] or WAIT_SECONDS_MAX), 1.0), WAIT_SECONDS_MAX)
