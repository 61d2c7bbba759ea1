"""Deployments: make, read, list, change, delete, and run.

Keeping processes up for them is the worker's business.
"""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Row

from api.bodies import answer, checked
from api.create_options import Options
from api.creation import create
from api.dependencies import Base, DeploymentReader, DeploymentWriter, JsonBody, PredictionCreator, Services, Wired
from api.documentation import PREDICTED, SENT, json_request, problems
from api.paging import Paging
from api.versions_cache import Runnable, find_runnable
from shared import contract, deployments, hardware, rendering
from shared.deployments import Wish
from shared.errors import DeploymentStopped, InvalidRequest, InvalidVersion, NotFound, Problem
from shared.tables import Deployment

router = APIRouter(tags=["deployments"])

PAGE_SIZE = 100


@router.get(
    "/deployments", operation_id="deployments.list", response_model=contract.DeploymentPage, responses=problems(400)
)
async def list_deployments(caller: DeploymentReader, paging: Paging) -> Response:
    """Your deployments, newest first."""
    page = await paging.read(deployments.owned(caller.id), Deployment, PAGE_SIZE)
    return answer(page.render(rendering.deployment))


@router.post(
    "/deployments",
    operation_id="deployments.create",
    responses={200: {"model": contract.Deployment}, **problems(*SENT)},
    openapi_extra=json_request(contract.DeploymentRequest),
)
async def create_deployment(caller: DeploymentWriter, wired: Wired, body: JsonBody) -> Response:
    """Put a version behind a name of yours."""
    wanted = checked(contract.DeploymentRequest, body)
    found = await _version(wired, caller, wanted.model, wanted.version)
    await _check_hardware(wired, wanted.hardware)
    wish = Wish(found.model, found.version_id, wanted.hardware, wanted.min_instances, wanted.max_instances)
    return answer(rendering.deployment(await deployments.create(wired.database, caller, wanted.name, wish)))


@router.get(
    "/deployments/{owner}/{name}",
    operation_id="deployments.get",
    response_model=contract.Deployment,
    responses=problems(404),
)
async def get_deployment(owner: str, name: str, caller: DeploymentReader, wired: Wired) -> Response:
    """One deployment with its newest release."""
    return answer(rendering.deployment(await _own(wired, caller, owner, name)))


@router.patch(
    "/deployments/{owner}/{name}",
    operation_id="deployments.update",
    responses={200: {"model": contract.Deployment}, **problems(*SENT, 404)},
    openapi_extra=json_request(contract.DeploymentChange),
)
async def change_deployment(owner: str, name: str, caller: DeploymentWriter, wired: Wired, body: JsonBody) -> Response:
    """Make a new release: another version of its model, hardware, or number of instances.

    With `max_instances` 0 it is stopped, and its predictions are canceled.
    """
    found = await _own(wired, caller, owner, name)
    wanted = checked(contract.DeploymentChange, body).model_dump(exclude_none=True)
    if version := wanted.pop("version", None):
        wanted["version_id"] = (await _version(wired, caller, found.model, version)).version_id
    if "hardware" in wanted:
        await _check_hardware(wired, wanted["hardware"])
    return answer(rendering.deployment(await deployments.change(wired.database, caller, found, wanted)))


@router.delete(
    "/deployments/{owner}/{name}", operation_id="deployments.delete", status_code=204, responses=problems(404, 422)
)
async def delete_deployment(owner: str, name: str, caller: DeploymentWriter, wired: Wired) -> Response:
    """Take a deployment away that is stopped and has not been used for 15 minutes."""
    await deployments.remove(wired.database, await _own(wired, caller, owner, name))
    return Response(status_code=204)


@router.post(
    "/deployments/{owner}/{name}/predictions",
    operation_id="deployments.predictions.create",
    status_code=201,
    responses={**PREDICTED, **problems(*SENT, 404)},
    openapi_extra=json_request(contract.PredictionRequest),
)
async def create_deployment_prediction(
    owner: str, name: str, caller: PredictionCreator, wired: Wired, base: Base, body: JsonBody, options: Options
) -> Response:
    """Run the version of a deployment's newest release."""
    found = await _own(wired, caller, owner, name)
    if not found.max_instances:
        raise DeploymentStopped
    version = await _version(wired, caller, found.model, found.version_id)
    wanted = checked(contract.PredictionRequest, body)
    return await create(wired, caller, base, version, wanted, options, deployment=f"{owner}/{name}")


async def _own(wired: Services, caller: Row[Any], owner: str, name: str) -> Row[Any]:
    row = await deployments.find(wired.database, caller.id, owner, name)
    if row is None:
        raise NotFound
    return row


async def _version(wired: Services, caller: Row[Any], model: str, version_id: str) -> Runnable:
    """A version of a model that the caller may run; raises InvalidVersion."""
    found = await find_runnable(wired, caller.id, f"{model}:{version_id}")
    if found is None:
        raise InvalidVersion
    return found


async def _check_hardware(wired: Services, sku: str) -> None:
    known = [each.sku for each in await hardware.available(wired.database, wired.settings.lease_seconds)]
    if sku not in known:
        problem = Problem("enum", "hardware", f"no worker has this hardware at present; there is {', '.join(known)}")
        raise InvalidRequest([problem])
