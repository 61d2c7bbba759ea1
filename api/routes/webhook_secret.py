"""The secret that signs the account's webhooks.

How two of them overlap is decided in `webhook_secrets`.
"""

from fastapi import APIRouter, Response

from api.bodies import answer, checked
from api.dependencies import JsonBody, WebhookReader, WebhookWriter, Wired
from api.documentation import SENT, json_request, problems
from shared import contract, webhook_secrets

router = APIRouter(tags=["webhooks"])


@router.get(
    "/webhooks/default/secret", operation_id="webhooks.default.secret.get", response_model=contract.WebhookSecret
)
async def get_webhook_secret(caller: WebhookReader, wired: Wired) -> Response:
    """The key to verify webhooks with, the newest if two sign."""
    newest, *_ = await webhook_secrets.signing(wired.database, caller.id)
    return answer({"key": newest})


@router.post(
    "/webhooks/default/secret/rotate",
    operation_id="webhooks.default.secret.rotate",
    responses={200: {"model": contract.WebhookSecret}, **problems(*SENT, 409)},
    openapi_extra=json_request(contract.SecretRotation),
)
async def rotate_webhook_secret(caller: WebhookWriter, wired: Wired, body: JsonBody) -> Response:
    """Make a new key. The present one signs too for `overlap_seconds`; with 0 it is worth nothing at once."""
    wanted = checked(contract.SecretRotation, body)
    return answer({"key": await webhook_secrets.rotate(wired.database, caller.id, wanted.overlap_seconds)})
