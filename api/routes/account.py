"""The calling account.

Nothing is changed here.
"""

from fastapi import APIRouter, Response

from api.bodies import answer
from api.dependencies import Caller
from api.documentation import ERRORS
from shared import contract, rendering

router = APIRouter(tags=["account"])


@router.get("/account", response_model=contract.Account, responses=ERRORS)
async def get_account(caller: Caller) -> Response:
    """Whose token it is."""
    return answer(rendering.account(caller))
