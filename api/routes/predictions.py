"""Predictions: create through two doors, read, list, cancel.

Running one is the worker's business; every change of status goes through `lifecycle`.
"""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Row, select

from api import waiting
from api.bodies import answer, checked
from api.create_options import Options
from api.creation import create
from api.dependencies import (
    Base,
    JsonBody,
    PredictionCreator,
    PredictionPoller,
    PredictionReader,
    PredictionWriter,
    Services,
    Wired,
    check_scope,
)
from api.documentation import PREDICTED, SENT, json_request, problems
from api.paging import SIZED_PREDICTION, Paging
from api.prediction_filters import Filters
from api.versions_cache import find_runnable
from shared import contract, rendering
from shared.contract import Kind, Scope
from shared.errors import InvalidVersion, NotFound
from shared.tables import Prediction

router = APIRouter(tags=["predictions"])

PAGE_SIZE = 100


@router.post(
    "/predictions",
    operation_id="predictions.create",
    status_code=201,
    responses={**PREDICTED, **problems(*SENT)},
    openapi_extra=json_request(contract.VersionPredictionRequest),
)
async def create_prediction(
    caller: PredictionCreator, wired: Wired, base: Base, body: JsonBody, options: Options
) -> Response:
    """Run a version: by its id, or by `owner/name` for the newest one."""
    wanted = checked(contract.VersionPredictionRequest, body)
    found = await find_runnable(wired, caller.id, wanted.version)
    if found is None:
        raise InvalidVersion
    return await create(wired, caller, base, found, wanted, options)


@router.post(
    "/models/{owner}/{name}/predictions",
    operation_id="models.predictions.create",
    status_code=201,
    responses={**PREDICTED, **problems(*SENT, 404)},
    openapi_extra=json_request(contract.PredictionRequest),
)
async def create_model_prediction(
    owner: str, name: str, caller: PredictionCreator, wired: Wired, base: Base, body: JsonBody, options: Options
) -> Response:
    """Run the newest version of a model."""
    found = await find_runnable(wired, caller.id, f"{owner}/{name}")
    if found is None:
        raise NotFound
    return await create(wired, caller, base, found, checked(contract.PredictionRequest, body), options)


@router.get(
    "/predictions",
    operation_id="predictions.list",
    response_model=contract.PredictionPage,
    responses=problems(400, 422),
)
async def list_predictions(caller: PredictionReader, base: Base, filters: Filters, paging: Paging) -> Response:
    """Your predictions, newest first."""
    is_own = (Prediction.account_id == caller.id, Prediction.kind == Kind.PREDICTION)
    query = select(Prediction.__table__).where(*is_own, *filters)
    page = await paging.read(query, Prediction, PAGE_SIZE, sized=SIZED_PREDICTION)
    return answer(page.render(lambda row: rendering.prediction(row, base)))


@router.get(
    "/predictions/{prediction_id}",
    operation_id="predictions.get",
    response_model=contract.Prediction,
    responses=problems(404),
)
async def get_prediction(prediction_id: str, caller: PredictionPoller, wired: Wired, base: Base) -> Response:
    """One prediction as it stands now. A training as well, if your token may read those."""
    row = await _own(wired, caller, prediction_id, Scope.TRAININGS_READ)
    return answer(rendering.prediction(row, base))


@router.post(
    "/predictions/{prediction_id}/cancel",
    operation_id="predictions.cancel",
    response_model=contract.Prediction,
    responses=problems(404),
)
async def cancel_prediction(prediction_id: str, caller: PredictionWriter, wired: Wired, base: Base) -> Response:
    """Stop a prediction; one that has ended already is returned as it is. A training as well, if your token may."""
    row = await _own(wired, caller, prediction_id, Scope.TRAININGS_WRITE)
    return answer(rendering.prediction(await waiting.canceled(wired, row), base))


async def _own(wired: Services, caller: Row[Any], prediction_id: str, of_trainings: Scope) -> Row[Any]:
    """Trainings too: clients of Replicate look for them here, since it answers their create with such an address."""
    row = await waiting.find_own(wired, caller.id, prediction_id)
    if row.kind == Kind.TRAINING:
        check_scope(caller, of_trainings)
    return row
