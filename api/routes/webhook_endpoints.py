"""Webhook endpoints: make, read, list, disable, delete, test.

Sending to them is the worker's business.
"""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Row

from api.bodies import answer, checked
from api.dependencies import JsonBody, Services, WebhookReader, WebhookWriter, Wired
from api.documentation import SENT, json_request, problems
from api.paging import Paging
from shared import contract, webhook_endpoints, webhook_messages
from shared.errors import InvalidRequest, InvalidWebhook, NotFound
from shared.tables import WebhookEndpoint
from shared.webhooks import check_url

router = APIRouter(tags=["webhooks"])

PAGE_SIZE = 100


@router.get(
    "/webhooks/endpoints",
    operation_id="webhooks.endpoints.list",
    response_model=contract.EndpointPage,
    responses=problems(400),
)
async def list_webhook_endpoints(caller: WebhookReader, paging: Paging) -> Response:
    """Your endpoints, newest first."""
    page = await paging.read(webhook_endpoints.owned(caller.id), WebhookEndpoint, PAGE_SIZE)
    return answer(page.render(webhook_endpoints.shown))


@router.post(
    "/webhooks/endpoints",
    operation_id="webhooks.endpoints.create",
    status_code=201,
    responses={201: {"model": contract.WebhookEndpoint}, **problems(*SENT, 409)},
    openapi_extra=json_request(contract.EndpointRequest),
)
async def create_webhook_endpoint(caller: WebhookWriter, wired: Wired, body: JsonBody) -> Response:
    """Have the end of everything that you create from now on sent to an address."""
    wanted = checked(contract.EndpointRequest, body)
    try:
        check_url(wanted.url, wired.settings.webhook_allow_cidrs, wired.settings.webhook_require_https)
    except InvalidWebhook as error:
        raise InvalidRequest([problem._replace(field="url") for problem in error.problems]) from error
    return answer(webhook_endpoints.shown(await webhook_endpoints.create(wired.database, caller.id, wanted.url)), 201)


@router.get(
    "/webhooks/endpoints/{endpoint_id}",
    operation_id="webhooks.endpoints.get",
    response_model=contract.WebhookEndpoint,
    responses=problems(404),
)
async def get_webhook_endpoint(endpoint_id: str, caller: WebhookReader, wired: Wired) -> Response:
    """One endpoint."""
    return answer(webhook_endpoints.shown(await _own(wired, caller, endpoint_id)))


@router.patch(
    "/webhooks/endpoints/{endpoint_id}",
    operation_id="webhooks.endpoints.update",
    responses={200: {"model": contract.WebhookEndpoint}, **problems(*SENT, 404)},
    openapi_extra=json_request(contract.EndpointChange),
)
async def change_webhook_endpoint(endpoint_id: str, caller: WebhookWriter, wired: Wired, body: JsonBody) -> Response:
    """Disable an endpoint, or enable it again. What it is owed already is still sent."""
    is_disabled = checked(contract.EndpointChange, body).disabled
    row = await webhook_endpoints.disable(wired.database, caller.id, endpoint_id, is_disabled=is_disabled)
    if row is None:
        raise NotFound
    return answer(webhook_endpoints.shown(row))


@router.delete(
    "/webhooks/endpoints/{endpoint_id}",
    operation_id="webhooks.endpoints.delete",
    status_code=204,
    responses=problems(404),
)
async def delete_webhook_endpoint(endpoint_id: str, caller: WebhookWriter, wired: Wired) -> Response:
    """Delete an endpoint; what it is still owed is given up."""
    if not await webhook_endpoints.remove(wired.database, caller.id, endpoint_id):
        raise NotFound
    return Response(status_code=204)


@router.post(
    "/webhooks/endpoints/{endpoint_id}/test",
    operation_id="webhooks.endpoints.test",
    status_code=201,
    responses={201: {"model": contract.WebhookMessage}, **problems(404)},
)
async def test_webhook_endpoint(endpoint_id: str, caller: WebhookWriter, wired: Wired) -> Response:
    """Send an endpoint a signed message that looks like the end of a prediction; read the message to see what came."""
    endpoint = await _own(wired, caller, endpoint_id)
    return answer(webhook_messages.shown(await webhook_endpoints.owe_test(wired.database, endpoint)), 201)


async def _own(wired: Services, caller: Row[Any], endpoint_id: str) -> Row[Any]:
    row = await webhook_endpoints.find(wired.database, caller.id, endpoint_id)
    if row is None:
        raise NotFound
    return row
