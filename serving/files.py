"""Files of a prediction: inputs fetched into a folder of its own, outputs put into the answer or uploaded.

Which inputs are files is known by `interface`; what a model does with them is its own business.
"""

import asyncio
import base64
import mimetypes
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit

from serving.outside import Outside
from shared.errors import FileUnavailable, OutboundError

if TYPE_CHECKING:
    from httpx import AsyncClient, Response

_NAME_BYTES = 200
_CHUNK_BYTES = 1 << 20
_REDIRECTS_MAX = 5
_SILENCE_SECONDS = 60.0
"""How long the other server may say nothing; a large file may take as long as it needs."""
_UPLOAD_SECONDS = 25.0
_UPLOAD_ATTEMPTS = 3
_REPEATING_REDIRECTS = (307, 308)
_CLOCK_SECONDS = 0.05
"""File systems tell times a little late."""


class Files:
    def __init__(self, outside: Outside, upload_url: str | None) -> None:
        self._outside = outside
        self._upload_url = upload_url

    async def fetch(self, wanted: Mapping[str, str], folder: Path) -> dict[str, str]:
        """Local paths in place of URLs; FileUnavailable names the input."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    name: group.create_task(self._fetch_one(name, url, folder / name)) for name, url in wanted.items()
                }
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return {name: str(task.result()) for name, task in tasks.items()}

    async def store(self, value: Any, originals: set[Path], headers: Mapping[str, str]) -> Any:
        """The value with a URL in place of each file, which is added to the originals."""
        if isinstance(value, list):
            return [await self.store(each, originals, headers) for each in value]
        if not isinstance(value, dict):
            return value
        if not is_file(value):
            return {key: await self.store(each, originals, headers) for key, each in value.items()}
        path = Path(value["$file"])
        try:
            url = await (self._upload(path, headers) if self._upload_url else asyncio.to_thread(_data_url, path))
            originals.add(path)
        except OSError as error:
            raise FileUnavailable(f"The output file {path.name} cannot be read: {error.strerror}.") from error
        return url

    async def _fetch_one(self, name: str, url: str, folder: Path) -> Path:
        try:
            await asyncio.to_thread(folder.mkdir)
            if url.lower().startswith("data:"):
                return await asyncio.to_thread(_write_data, url, folder)
            return await self._download(url, folder / _file_name(url))
        except (OutboundError, FileUnavailable) as error:
            raise FileUnavailable(f"input.{name}: the file could not be fetched: {error.message}") from error
        except OSError as error:
            raise FileUnavailable(f"input.{name}: the file could not be kept: {error.strerror}") from error

    async def _download(self, url: str, path: Path) -> Path:
        client = await self._outside.client()
        from worker.outbound import failures_named  # loaded with the client

        with failures_named():
            for _ in range(_REDIRECTS_MAX + 1):
                async with client.stream("GET", url, timeout=_SILENCE_SECONDS) as response:
                    if response.status_code == 200:
                        await _write(response, path)
                        return path
                    if not response.has_redirect_location:
                        raise FileUnavailable(f"the server answered {response.status_code}")
                    url = urljoin(url, response.headers["location"])
        raise FileUnavailable("the server redirected too often")

    async def _upload(self, path: Path, headers: Mapping[str, str]) -> str:
        client = await self._outside.client()
        base = self._upload_url or ""
        url = base + ("" if base.endswith(("/", "=")) else "/") + quote(path.name)
        size = (await asyncio.to_thread(path.stat)).st_size
        headers = {**headers, "content-type": _media_type(path), "content-length": str(size)}
        reason = ""
        for _ in range(_UPLOAD_ATTEMPTS):
            try:
                stored = await _put(client, url, path, headers)
            except OutboundError as error:
                reason = error.message
                continue
            if isinstance(stored, str):
                return stored
            reason = f"the server answered {stored}"
            if stored < 500:
                break
        raise FileUnavailable(f"The output file {path.name} could not be uploaded: {reason}.")


def is_file(value: Any) -> bool:
    """How the model's process names a file."""
    return isinstance(value, dict) and value.keys() == {"$file"}


def holds_file(value: Any) -> bool:
    """Whether there is a file at any depth."""
    if isinstance(value, list):
        return any(holds_file(each) for each in value)
    return isinstance(value, dict) and (is_file(value) or any(holds_file(each) for each in value.values()))


def new_folder() -> Path:
    """Where the files of one prediction go; to be removed with `remove`."""
    return Path(tempfile.mkdtemp(prefix="pinion-"))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


async def _put(client: "AsyncClient", url: str, path: Path, headers: Mapping[str, str]) -> str | int:
    """The address of the stored file, or the status of a refusal."""
    from worker.outbound import failures_named  # loaded with the client

    with failures_named():
        async with asyncio.timeout(_UPLOAD_SECONDS):
            for _ in range(_REDIRECTS_MAX + 1):
                response = await client.put(url, content=_chunks(path), headers=headers)
                if response.status_code not in _REPEATING_REDIRECTS or "location" not in response.headers:
                    break
                url = urljoin(url, response.headers["location"])
    if not response.is_success:
        return response.status_code
    stored = urlsplit(urljoin(url, str(response.headers.get("location", ""))))
    # What follows the question mark is the signature of an upload, and would let readers overwrite the file.
    return stored._replace(query="").geturl()


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


async def _write(response: "Response", path: Path) -> None:
    with path.open("wb") as file:
        async for chunk in response.aiter_bytes(_CHUNK_BYTES):
            await asyncio.to_thread(file.write, chunk)


def _file_name(url: str) -> str:
    """The URL's own, as long as a file system takes it; the extension is kept."""
    name = unquote(urlsplit(url).path).rpartition("/")[2].replace("\0", "_")
    if name in ("", ".", ".."):
        return "file"
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > _NAME_BYTES // 2:
        stem, dot, extension = name, "", ""
    room = _NAME_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + extension


def _write_data(url: str, folder: Path) -> Path:
    head, _, payload = url[len("data:") :].partition(",")
    media_type, *marks = head.split(";")
    content = unquote_to_bytes(payload)
    if "base64" in (mark.strip().lower() for mark in marks):
        try:
            content = base64.b64decode(content)
        except ValueError:
            raise FileUnavailable("the data URL is not base64") from None
    path = folder / f"file{mimetypes.guess_extension(media_type) or ''}"
    path.write_bytes(content)
    return path


def _data_url(path: Path) -> str:
    return f"data:{_media_type(path)};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _media_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def remove_made_since(began: datetime, originals: set[Path]) -> None:
    """A file of the model's folder, or one that setup() made for every prediction, has to stay."""
    for path in originals:
        with suppress(OSError):
            is_temporary = path.is_relative_to(tempfile.gettempdir())
            if is_temporary and path.stat().st_mtime >= began.timestamp() - _CLOCK_SECONDS:
                path.unlink()
