"""In what kind of enclosure the models of this host run, asked anew at every start, and what theirs shows to them.

How each is made stands in `sandbox` and `veil`; how it is judged which there can be, in `shared.isolation`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from shared.isolation import Isolation, Level, Verdict, find_program, judge
from worker.enclosure import Enclosure
from worker.events import SetupFailed
from worker.sandbox import Sandbox
from worker.veil import Veil

_INSISTS = "Models are to run in a sandbox (PINION_ISOLATION)"


@dataclass(frozen=True, slots=True)
class Seclusion:
    """That of this host."""

    wanted: Isolation
    count_accounts: Callable[[], Awaitable[int]]
    folder_of: Callable[[str], Path]
    """Where the predictions of a version have their files."""
    find_kept: Callable[[], tuple[Path, ...]]
    """What the service keeps for itself."""

    async def of_version(self, version_id: str, shown: tuple[Path, ...]) -> Enclosure | None:
        """That of its next process, in which it sees `shown` as well.

        None where it is to run without one, or where there can be none and none is insisted on; else SetupFailed.
        """
        accounts = await self.count_accounts() if self.wanted == Isolation.AUTO else 0
        verdict = await asyncio.to_thread(judge, self.wanted, accounts)
        if verdict.obstacle and verdict.wanted == Level.SANDBOX:
            self._complain(version_id, verdict)
        program = find_program()
        if program is None or verdict.level == Level.PROCESS:
            return None
        folder = self.folder_of(version_id)
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        if verdict.level == Level.SANDBOX:
            return Sandbox(program, shown, shared=(folder,))
        return Veil(program, (*shown, folder), hidden=await asyncio.to_thread(self.find_kept))

    def _complain(self, version_id: str, verdict: Verdict) -> None:
        if self.wanted == Isolation.SANDBOX:
            raise SetupFailed(f"{_INSISTS}, and there can be none here: {verdict.obstacle}.")
        import structlog  # not before it is needed: `pinion serve` has to start quickly

        structlog.get_logger().warning("model runs without a sandbox", version_id=version_id, reason=verdict.obstacle)
