"""Weights that come from elsewhere than a model's folder: each is fetched once, and kept by content on a `shelf`.

A version may have been given some, which its setup() is handed; cog.yaml may name more, which are put where it says.
"""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared import hub
from shared.contents import Contents
from shared.errors import FileUnavailable, OutboundError
from worker.events import SetupFailed
from worker.inputs import WEB, Download, Find, fetch_file, find_nothing
from worker.manifest import WeightsSource, WeightsTarget
from worker.shelf import Say, Shelf

CONTENTS = "weights"
"""Their place among the contents, where those of the accounts are."""
_HUB = "hf://"
_FILE = "file://"
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class VersionWeights:
    """What a version was given: an address, or the stored form of a file of ours."""

    origin: Any = None
    address: str = ""
    account_id: str = ""
    """Whose it is: what one account may read is not for all."""
    find: Find = find_nothing
    """For addresses that mean files of ours."""


def weights_shelf(home: Path) -> Shelf:
    """Where they lie: each in a folder with its files in `files`."""
    return Shelf(home / "weights", "weights")


class Weights:
    """Those of this home, which hosts may share."""

    def __init__(self, home: Path, download: Download, limit: timedelta | None) -> None:
        self._shelf = weights_shelf(home)
        self._contents = Contents(home, CONTENTS)
        self._download = download
        self._limit = limit.total_seconds() if limit else None

    async def of_version(self, version_id: str, given: VersionWeights, say: Say) -> Path | None:
        """The file to be handed to setup(), if the version was given one; raises SetupFailed."""
        if given.origin is None:
            return None
        fill = self._web(given.address, given.find)
        folder = await self._obtain([given.account_id, given.origin], given.address, fill, say, version_id)
        return next(folder.iterdir())

    async def put_in_place(
        self, version_id: str | None, source: Path, wanted: list[WeightsTarget], given: VersionWeights, say: Say
    ) -> None:
        """Link what cog.yaml names to where it is wanted in the model's folder; raises SetupFailed."""
        for each in wanted:
            target = source / each.target
            if each.source is None or await asyncio.to_thread(self._is_foreign, target):
                say(f"The weights {each.name} are those that lie at {each.target}.\n")
                continue
            place = await self._place_of(version_id, source, each.source, given, say)
            await asyncio.to_thread(_link, target, place)
            say(f"The weights {each.name} are at {each.target}.\n")

    def places(self, source: Path, wanted: list[WeightsTarget], own: Path | None) -> tuple[Path, ...]:
        """Where those lie that links in the model's folder lead to, and that which setup() is handed.

        Only what we have fetched: cog.yaml may name any place of this machine.
        """
        places = [source / each.target for each in wanted] + ([own] if own else [])
        shelf = self._shelf.folder.resolve()
        return tuple(dict.fromkeys(real for place in places if shelf in (real := place.resolve()).parents))

    def _is_foreign(self, target: Path) -> bool:
        """Whether something is there that we did not put there. A link to nothing may be ours from another home."""
        return target.exists() and not (target.is_symlink() and self._shelf.folder in target.readlink().parents)

    async def _place_of(
        self, version_id: str | None, source: Path, wanted: WeightsSource, given: VersionWeights, say: Say
    ) -> Path:
        if wanted.uri.startswith(_HUB):
            return await self._obtain(wanted.model_dump(), wanted.uri, _from_hub(wanted), say, version_id)
        if wanted.uri.lower().startswith(WEB):
            fill = self._web(wanted.uri, given.find)
            return await self._obtain([given.account_id, wanted.uri], wanted.uri, fill, say, version_id)
        place = source / wanted.uri.removeprefix(_FILE)
        if not await asyncio.to_thread(place.exists):
            raise SetupFailed(f"The weights {wanted.uri} that cog.yaml names are not there: no such file or folder.")
        return place

    async def _obtain(
        self, origin: Any, shown: str, fill: Callable[[Path], Awaitable[None]], say: Say, version_id: str | None
    ) -> Path:
        name = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
        shown = shown.partition("?")[0][:_SHOWN_CHARACTERS]  # behind it there may be a signature

        async def make(folder: Path) -> None:
            say(f"Fetching the weights {shown} …\n")
            await asyncio.to_thread(_empty, folder)
            await fill(folder)

        try:
            async with asyncio.timeout(self._limit):
                user = f"{version_id}.{name[:16]}" if version_id else None
                return await self._shelf.obtain(name, make, say, user) / "files"
        except TimeoutError:
            reason = f"not within {self._limit:g} seconds (PINION_BUILD_SECONDS)"
        except (OutboundError, FileUnavailable) as error:
            reason = error.message
        except OSError as error:
            reason = error.strerror or type(error).__name__
        raise SetupFailed(f"The weights {shown} could not be fetched: {reason.rstrip('.')}.")

    def _web(self, url: str, find: Find) -> Callable[[Path], Awaitable[None]]:
        async def fill(folder: Path) -> None:
            arrived = await fetch_file(url, folder / "arriving", self._download, find)
            await asyncio.to_thread(self._keep, arrived, folder / "files")

        return fill

    def _keep(self, arrived: Path, folder: Path) -> None:
        with self._contents.used():
            self._contents.put(self._contents.adopt(arrived), folder / arrived.name, is_executable=False)
        (folder / arrived.name).chmod(0o444)  # whoever else uses it does not want it changed


def _from_hub(wanted: WeightsSource) -> Callable[[Path], Awaitable[None]]:
    async def fill(folder: Path) -> None:
        name, _, revision = wanted.uri.removeprefix(_HUB).partition("@")
        place = await asyncio.to_thread(hub.snapshot, name, revision or None, wanted.include, wanted.exclude)
        await asyncio.to_thread(shutil.copytree, place, folder / "files", dirs_exist_ok=True, copy_function=_share)

    return fill


def _share(source: str, target: str) -> None:
    """The same bytes under a second name where that is possible: a cache of the Hub never changes a file."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("arriving", "files"):
        (folder / name).mkdir(parents=True, mode=0o700)


def _link(target: Path, place: Path) -> None:
    """In the place of a link of ours, which may lead to what was wanted before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()
    draft.symlink_to(place)
    draft.replace(target)
