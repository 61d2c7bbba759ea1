"""Trainings: create, read, list, cancel.

Running one is the worker's business; what its result becomes stands in `shared/trainings`.
"""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Row, select

from api import waiting
from api.bodies import answer, checked
from api.create_options import Options
from api.creation import accepted, stored, webhook_wishes
from api.dependencies import (
    Base,
    JsonBody,
    Services,
    TrainingCreator,
    TrainingPoller,
    TrainingReader,
    TrainingWriter,
    Wired,
)
from api.documentation import SENT, TRAINED, json_request, problems
from api.file_addresses import complaint
from api.paging import SIZED_PREDICTION, Paging
from shared import catalog, contract, files, lifecycle, rendering, trainings
from shared.contract import Kind
from shared.errors import InvalidVersion, NotFound
from shared.input_schema import InputSchema, compile_schema
from shared.tables import Prediction

router = APIRouter(tags=["trainings"])

PAGE_SIZE = 100
_UNTRAINABLE = "This version cannot be trained: its cog.yaml names no `train`, or that could not be loaded."


@router.post(
    "/models/{owner}/{name}/versions/{version_id}/trainings",
    operation_id="trainings.create",
    status_code=201,
    responses={**TRAINED, **problems(*SENT, 404)},
    openapi_extra=json_request(contract.TrainingRequest),
)
async def create_training(
    owner: str,
    name: str,
    version_id: str,
    caller: TrainingCreator,
    wired: Wired,
    base: Base,
    body: JsonBody,
    options: Options,
) -> Response:
    """Run a version's train(); what it makes becomes a new version of `destination`, a model of your own."""
    version = await catalog.runnable(wired.database, caller.id, f"{owner}/{name}:{version_id}")
    if version is None:
        raise NotFound
    wanted = checked(contract.TrainingRequest, body)
    await _check_destination(wired, caller, wanted.destination)
    if file_ids := files.ids_in(wanted.input):
        await files.prolong(wired.database, caller.id, file_ids, wired.settings.upload_seconds)
    identity = options.identity(caller.id, wanted)
    inputs = _inputs(wired, version)
    request = lifecycle.Request(
        account_id=caller.id,
        model=f"{owner}/{name}",
        version_id=version_id,
        input=inputs.check(options.without_token(wanted.input)),
        secret_inputs=inputs.secrets or None,
        streams=False,
        kind=Kind.TRAINING,
        destination=wanted.destination,
        lifetime_seconds=options.lifetime_seconds,
        shows_aborted=caller.shows_aborted,
        create_key=identity.create_key,
        fingerprint=identity.fingerprint,
        **webhook_wishes(wired, wanted),
    )
    row = await stored(wired, caller, request, identity, trainings.accept)
    return await accepted(wired, base, row, options)


def _inputs(wired: Services, version: Row[Any]) -> InputSchema:
    if "TrainingInput" not in version.openapi_schema["components"]["schemas"]:
        raise InvalidVersion(_UNTRAINABLE)
    complain = complaint(wired.settings.file_allow_cidrs)
    return compile_schema(version.openapi_schema, "TrainingInput", complain)


async def _check_destination(wired: Services, caller: Row[Any], destination: str) -> None:
    owner, _, name = destination.partition("/")
    model = await catalog.find_model(wired.database, caller.id, owner, name)
    if model is None or model.account_id != caller.id:
        raise NotFound(f"The destination must be a model of your own that exists, as {caller.username}/name.")


@router.get("/trainings", operation_id="trainings.list", response_model=contract.TrainingPage, responses=problems(400))
async def list_trainings(caller: TrainingReader, base: Base, paging: Paging) -> Response:
    """Your trainings, newest first."""
    query = select(Prediction.__table__).where(Prediction.account_id == caller.id, trainings.IS_TRAINING)
    page = await paging.read(query, Prediction, PAGE_SIZE, sized=SIZED_PREDICTION)
    return answer(page.render(lambda row: rendering.prediction(row, base)))


@router.get(
    "/trainings/{training_id}",
    operation_id="trainings.get",
    response_model=contract.Training,
    responses=problems(404),
)
async def get_training(training_id: str, caller: TrainingPoller, wired: Wired, base: Base) -> Response:
    """One training as it stands now."""
    row = await waiting.find_own(wired, caller.id, training_id, Kind.TRAINING)
    return answer(rendering.prediction(row, base))


@router.post(
    "/trainings/{training_id}/cancel",
    operation_id="trainings.cancel",
    response_model=contract.Training,
    responses=problems(404),
)
async def cancel_training(training_id: str, caller: TrainingWriter, wired: Wired, base: Base) -> Response:
    """Stop a training, also while its version is being built; one that has ended already is returned as it is."""
    row = await waiting.find_own(wired, caller.id, training_id, Kind.TRAINING)
    return answer(rendering.prediction(await waiting.canceled(wired, row), base))
