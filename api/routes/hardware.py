"""Hardware: the kinds of devices that models can run on here.

Told by the workers that live; nothing is configured.
"""

import msgspec
from fastapi import APIRouter, Response

from api.dependencies import Caller, Wired
from shared import contract, hardware

router = APIRouter(tags=["hardware"])


@router.get("/hardware", operation_id="hardware.list", response_model=list[contract.Hardware])
async def list_hardware(caller: Caller, wired: Wired) -> Response:
    """All of it, as a bare list."""
    found = await hardware.available(wired.database, wired.settings.lease_seconds)
    return Response(msgspec.json.encode([each._asdict() for each in found]), media_type="application/json")
