"""The one client to other servers, opened when it is first wanted: most models need none, and its import is slow.

Private addresses are allowed here, as this is the operator's own server; the addresses that hand out a machine's
credentials stay blocked (shared/addresses.py).
"""

import asyncio
from ipaddress import ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx import AsyncClient

_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Outside:
    def __init__(self) -> None:
        self._opening: asyncio.Task[AsyncClient] | None = None

    async def client(self) -> "AsyncClient":
        if self._opening is None:
            self._opening = asyncio.create_task(asyncio.to_thread(_open))
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        if self._opening is not None:
            await (await self._opening).aclose()


def _open() -> "AsyncClient":
    from worker.outbound import open_client

    return open_client(_EVERYWHERE)
