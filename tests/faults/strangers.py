"""I20: that an account is told of a prediction of another one what it is told of one that never was.

Other things that belong to accounts are tested elsewhere, without faults.
"""

from collections.abc import Sequence

import httpx

from shared.ids import new_id
from tests.faults.client import Door
from tests.faults.history import Order


async def told_to_stranger(token: str, apis: Sequence[Door], orders: Sequence[Order]) -> list[str]:
    """What differs for the token of another account."""
    accepted = [order.id for order in orders if order.id]
    if not accepted:
        return []
    headers = {"Authorization": f"Bearer {token}"}
    found = []
    async with httpx.AsyncClient(headers=headers) as http:
        for api in apis:
            for method, path in (("GET", ""), ("POST", "/cancel")):
                ours, nobodys = [
                    await http.request(method, f"{api.address}/v1/predictions/{each}{path}")
                    for each in (accepted[0], new_id())
                ]
                if (ours.status_code, ours.content) != (404, nobodys.content) or nobodys.status_code != 404:
                    found.append(f"{api.name} told a stranger {ours.text}, and of what never was {nobodys.text}")
    return found
