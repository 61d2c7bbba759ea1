"""The calling account and the secret that signs its webhooks.

Nothing is changed here.
"""

from fastapi import APIRouter, Response

from api.bodies import answer
from api.dependencies import Caller, WebhookReader
from shared import contract, rendering

router = APIRouter(tags=["account"])


@router.get("/account", operation_id="account.get", response_model=contract.Account)
async def get_account(caller: Caller) -> Response:
    """Whose token it is."""
    return answer(rendering.account(caller))


@router.get(
    "/webhooks/default/secret", operation_id="webhooks.default.secret.get", response_model=contract.WebhookSecret
)
async def get_webhook_secret(caller: WebhookReader) -> Response:
    """The key to verify webhooks with."""
    return answer({"key": caller.webhook_secret})
