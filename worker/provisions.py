"""What a model needs besides its folder before its process can start: a Python with its packages, and weights.

One way for the service and for `pinion serve`. Nothing is started here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from worker.enclosure import Enclosure
from worker.environment import Environments
from worker.manifest import read_manifest
from worker.seclusion import Seclusion
from worker.shelf import Say
from worker.weights import VersionWeights, Weights


@dataclass(frozen=True, slots=True)
class Provided:
    """Ready to start with."""

    python: Path
    weights: Path | None
    """What setup() is handed, if the version was given some."""
    enclosure: Enclosure | None
    """What the process is to run in, if it is not to see the rest of this machine."""


@dataclass(frozen=True, slots=True)
class Provisions:
    """Of all versions that run in this process."""

    environments: Environments
    weights: Weights
    given: Callable[[str], Awaitable[VersionWeights]]
    """What a version was given."""
    seclusion: Seclusion

    async def of_version(self, version_id: str, source: Path, say: Say) -> Provided:
        """Builds and fetches what is not there yet, and tells `say` how it goes; raises SetupFailed."""
        python = await self.environments.python_for(version_id, source, say)
        given = await self.given(version_id)
        manifest = await asyncio.to_thread(read_manifest, source)
        await self.weights.put_in_place(version_id, source, manifest.weights, given, say)
        own_weights = await self.weights.of_version(version_id, given, say)
        shown = await asyncio.to_thread(self.weights.places, source, manifest.weights, own_weights)
        return Provided(python, own_weights, await self.seclusion.of_version(version_id, shown))


async def python_for_folder(
    environments: Environments, weights: Weights, source: Path, python: Path | None, say: Say
) -> Path:
    """The interpreter for a folder that is no version, once its weights are in place; raises SetupFailed.

    A `python` that is given is used as it is.
    """
    python = python or await environments.python_for(None, source, say)
    manifest = await asyncio.to_thread(read_manifest, source)
    await weights.put_in_place(None, source, manifest.weights, VersionWeights(), say)
    return python
