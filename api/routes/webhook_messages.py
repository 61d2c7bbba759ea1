"""Webhook messages: list, read with what came of each attempt, send again, delete.

Sending is the worker's business.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import Row

from api.bodies import answer, checked
from api.dependencies import JsonBody, Services, WebhookReader, WebhookWriter, Wired
from api.documentation import SENT, json_request, problems
from api.paging import Paging
from shared import contract, webhook_messages
from shared.contract.webhooks import MessageEvent, MessageState
from shared.errors import NotFound
from shared.tables import WebhookMessage

router = APIRouter(tags=["webhooks"])

PAGE_SIZE = 100
_Text = Query(pattern=r"^[!-~]+$", max_length=64)


@router.get(
    "/webhooks/messages",
    operation_id="webhooks.messages.list",
    response_model=contract.MessagePage,
    responses=problems(400, 422),
)
async def list_webhook_messages(
    caller: WebhookReader,
    paging: Paging,
    state: Annotated[MessageState | None, Query()] = None,
    prediction: Annotated[str | None, _Text] = None,
    endpoint: Annotated[str | None, _Text] = None,
    event: Annotated[MessageEvent | None, Query()] = None,
) -> Response:
    """Messages that your receivers are owed or were given, newest first."""
    wanted = {"state": state, "prediction_id": prediction, "endpoint_id": endpoint, "event": event}
    query = webhook_messages.owned(caller.id).filter_by(**{name: value for name, value in wanted.items() if value})
    page = await paging.read(query, WebhookMessage, PAGE_SIZE)
    return answer(page.render(webhook_messages.shown))


@router.get(
    "/webhooks/messages/{message_id}",
    operation_id="webhooks.messages.get",
    response_model=contract.LoggedMessage,
    responses=problems(404),
)
async def get_webhook_message(message_id: str, caller: WebhookReader, wired: Wired) -> Response:
    """One message with the log of its attempts."""
    message = await _own(wired, caller, message_id)
    log = await webhook_messages.attempts(wired.database, message.id)
    return answer({**webhook_messages.shown(message), "log": [webhook_messages.shown_attempt(row) for row in log]})


@router.post(
    "/webhooks/messages/{message_id}/replay",
    operation_id="webhooks.messages.replay",
    status_code=202,
    responses={202: {"model": contract.WebhookMessage}, **problems(404, 409)},
)
async def replay_webhook_message(message_id: str, caller: WebhookWriter, wired: Wired) -> Response:
    """Send a message again that was delivered or given up: same id and body, a new timestamp and signature."""
    row = await webhook_messages.replay(wired.database, await _own(wired, caller, message_id))
    return answer(webhook_messages.shown(row), 202)


@router.delete(
    "/webhooks/messages/{message_id}",
    operation_id="webhooks.messages.delete",
    status_code=204,
    responses=problems(404, 409),
)
async def delete_webhook_message(message_id: str, caller: WebhookWriter, wired: Wired) -> Response:
    """Delete a message that was delivered or given up, with the log of its attempts."""
    await webhook_messages.discard(wired.database, await _own(wired, caller, message_id))
    return Response(status_code=204)


@router.post(
    "/webhooks/replay",
    operation_id="webhooks.replay",
    status_code=202,
    responses={202: {"model": contract.Replayed}, **problems(*SENT)},
    openapi_extra=json_request(contract.ReplayRequest),
)
async def replay_webhooks(caller: WebhookWriter, wired: Wired, body: JsonBody) -> Response:
    """Send all `completed` messages again that were created since a moment and given up, or delivered if asked for."""
    wanted = checked(contract.ReplayRequest, body)
    replayed = await webhook_messages.replay_since(wired.database, caller.id, wanted.since, wanted.state)
    return answer({"replayed": replayed}, 202)


@router.post(
    "/webhooks/discard",
    operation_id="webhooks.discard",
    response_model=contract.Discarded,
    responses=problems(*SENT),
    openapi_extra=json_request(contract.DiscardRequest),
)
async def discard_webhooks(caller: WebhookWriter, wired: Wired, body: JsonBody) -> Response:
    """Delete all messages that were given up and created before a moment, which are kept until then."""
    wanted = checked(contract.DiscardRequest, body)
    return answer({"deleted": await webhook_messages.discard_before(wired.database, caller.id, wanted.before)})


async def _own(wired: Services, caller: Row[Any], message_id: str) -> Row[Any]:
    row = await webhook_messages.find(wired.database, caller.id, message_id)
    if row is None:
        raise NotFound
    return row
