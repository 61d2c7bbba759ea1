"""Whether the models of this host run in a sandbox, asked anew at every start, and what theirs shows to them.

How a sandbox is made stands in `sandbox`; how it is judged whether there can be one, in `shared.isolation`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from shared.isolation import Isolation, find_program, judge
from worker.events import SetupFailed
from worker.sandbox import Sandbox

_INSISTS = "Models are to run in a sandbox (PINION_ISOLATION)"


@dataclass(frozen=True, slots=True)
class Seclusion:
    """That of this host."""

    wanted: Isolation
    count_accounts: Callable[[], Awaitable[int]]
    folder_of: Callable[[str], Path]
    """Where the predictions of a version have their files."""

    async def of_version(self, version_id: str, shown: tuple[Path, ...]) -> Sandbox | None:
        """The sandbox for its next process, in which it sees `shown` as well.

        None where it is to run without one, or where there can be none and none is insisted on; else SetupFailed.
        """
        accounts = await self.count_accounts() if self.wanted == Isolation.AUTO else 0
        verdict = await asyncio.to_thread(judge, self.wanted, accounts)
        if verdict.obstacle:
            if self.wanted == Isolation.SANDBOX:
                raise SetupFailed(f"{_INSISTS}, and there can be none here: {verdict.obstacle}.")
            import structlog  # not before it is needed: `pinion serve` has to start quickly

            structlog.get_logger().warning(
                "model runs without a sandbox", version_id=version_id, reason=verdict.obstacle
            )
        program = find_program() if verdict.is_sandboxed else None
        if program is None:
            return None
        folder = self.folder_of(version_id)
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        return Sandbox(program, shown, (folder,))
