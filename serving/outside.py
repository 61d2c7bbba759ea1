"""The one client to other servers, opened when it is first wanted: most models need none, and its import is slow.

Private addresses are allowed here, as this is the operator's own server; the addresses that hand out a machine's
credentials stay blocked (shared/addresses.py).
"""

import asyncio
from ipaddress import ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.outbound import Outbound

_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Outside:
    def __init__(self) -> None:
        self._opening: asyncio.Task[Outbound] | None = None

    async def client(self) -> "Outbound":
        if self._opening is None:
            self._opening = asyncio.create_task(asyncio.to_thread(_open))
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        if self._opening is not None:
            await (await self._opening).aclose()


def _open() -> "Outbound":
    from worker.outbound import Outbound

    return Outbound(_EVERYWHERE)
