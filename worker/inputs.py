"""A prediction's input files: how each gets to this host.

Which inputs are files is known by `shared.file_inputs`.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared import data_urls
from shared.errors import FileUnavailable, OutboundError
from shared.file_names import name_of_url

_AT_ONCE = 8
WEB = ("http://", "https://")

Download = Callable[[str, IO[bytes]], Awaitable[None]]
"""Writes what is behind a web address; raises OutboundError."""
Find = Callable[[str], Awaitable[tuple[Path, str] | None]]
"""Content and name of the file of ours that an address means, if it means one; raises FileUnavailable."""


async def find_nothing(url: str) -> None:
    """For where no files are kept."""


@dataclass(frozen=True, slots=True)
class InputFiles:
    """Fetches those of a prediction."""

    download: Download
    find: Find = find_nothing

    async def fetch(self, wanted: dict[str, str], folder: Path) -> dict[str, str]:
        """Local paths in `folder` by the names of inputs, from their URLs; FileUnavailable says what is amiss."""
        seats = asyncio.Semaphore(_AT_ONCE)
        # Each in a folder of its own: two may have the same name. All before the first, and not given up half-way: a
        # thread that goes on would make anew what was removed after a failure.
        making = asyncio.ensure_future(asyncio.to_thread(_make, [folder / name for name in wanted]))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            await making
            raise
        except OSError as error:
            raise FileUnavailable(f"input files cannot be stored: {error.strerror}") from error

        async def fetch_one(name: str, url: str) -> tuple[str, str]:
            async with seats:
                return name, await self._named_fetch(name, url, folder / name)

        try:
            async with asyncio.TaskGroup() as group:
                fetching = [group.create_task(fetch_one(*each)) for each in wanted.items()]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return dict(task.result() for task in fetching)

    async def _named_fetch(self, name: str, url: str, folder: Path) -> str:
        try:
            return str(await fetch_file(url, folder, self.download, self.find))
        except (OutboundError, FileUnavailable) as error:
            raise FileUnavailable(f"could not download input.{name}: {error.message}") from error
        except OSError as error:
            raise FileUnavailable(f"could not download input.{name}: {error.strerror}") from error


async def fetch_file(url: str, folder: Path, download: Download, find: Find) -> Path:
    """One file under the name it has, in a folder that has none yet; OutboundError, FileUnavailable or OSError."""
    if data_urls.is_data(url):
        path = folder / name_of_url(url)
        await asyncio.to_thread(_write_data, url, path)
        return path
    if not url.lower().startswith(WEB):
        raise FileUnavailable("it has to be an http, https or data URL")
    if ours := await find(url):
        content, name = ours
        return await asyncio.to_thread(shutil.copyfile, content, folder / name)
    path = folder / name_of_url(url)
    with await asyncio.to_thread(path.open, "xb") as sink:
        await download(url, sink)
    return path


def _write_data(url: str, path: Path) -> None:
    try:
        path.write_bytes(data_urls.decoded(url))
    except ValueError as error:
        raise FileUnavailable(str(error)) from None


def _make(folders: list[Path]) -> None:
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True)
