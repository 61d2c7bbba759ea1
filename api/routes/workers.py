"""Workers: which are alive, and which models run where.

Ours; Replicate tells nothing of the kind. Nothing can be changed here.
"""

from fastapi import APIRouter, Response

from api import workers
from api.bodies import answer
from api.dependencies import ModelReader, Wired
from shared import contract

router = APIRouter(tags=["workers"])


@router.get("/workers", operation_id="workers.list", response_model=contract.WorkerList)
async def list_workers(caller: ModelReader, wired: Wired) -> Response:
    """Prediction workers that are alive, the oldest first, with their memory and the models you may see."""
    rows = await workers.alive(wired)
    held = await workers.holdings(wired, caller, rows)
    return answer({"results": [workers.rendered(row, held) for row in rows]})
