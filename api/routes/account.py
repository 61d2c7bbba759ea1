"""The calling account.

Nothing is changed here.
"""

from fastapi import APIRouter, Response

from api.bodies import answer
from api.dependencies import Caller
from shared import contract, rendering

router = APIRouter(tags=["account"])


@router.get("/account", operation_id="account.get", response_model=contract.Account)
async def get_account(caller: Caller) -> Response:
    """Whose token it is."""
    return answer(rendering.account(caller))
