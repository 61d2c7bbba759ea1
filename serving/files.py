"""Files of this server's predictions: inputs are downloaded, outputs are put into the answer or uploaded.

When that happens, and which inputs are files, stands in worker/inputs.py and worker/outputs.py.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from serving.outside import Outside
from shared.errors import FileUnavailable, OutboundError
from shared.file_names import HEAD_BYTES, media_type
from worker.outputs import open_output

if TYPE_CHECKING:
    from httpx import AsyncClient

_CHUNK_BYTES = 1 << 20
_REDIRECTS_MAX = 5
_UPLOAD_SECONDS = 25.0
_UPLOAD_ATTEMPTS = 3
_REPEATING_REDIRECTS = (307, 308)


class Files:
    def __init__(self, outside: Outside, upload_url: str | None) -> None:
        self._outside = outside
        self._upload_url = upload_url

    async def download(self, url: str, sink: IO[bytes]) -> None:
        """As large as it is, and as long as the other server goes on; OutboundError."""
        client = await self._outside.client()
        from worker.outbound import fetch  # loaded with the client

        await fetch(client, url, sink)

    async def store(self, headers: Mapping[str, str], path: Path) -> str:
        """The URL of an output file; `headers` go with an upload. FileUnavailable or OSError."""
        with await asyncio.to_thread(open_output, path) as file:
            if self._upload_url is None:
                return await asyncio.to_thread(_data_url, path.name, file)
            return await self._upload(self._upload_url, path.name, file, headers)

    async def _upload(self, base: str, name: str, file: IO[bytes], headers: Mapping[str, str]) -> str:
        client = await self._outside.client()
        url = base + ("" if base.endswith(("/", "=")) else "/") + quote(name)
        size = os.fstat(file.fileno()).st_size
        kind = media_type(name, await asyncio.to_thread(file.read, HEAD_BYTES))
        headers = {**headers, "content-type": kind, "content-length": str(size)}
        reason = ""
        for _ in range(_UPLOAD_ATTEMPTS):
            try:
                stored = await _put(client, url, file, headers)
            except OutboundError as error:
                reason = error.message
                continue
            if isinstance(stored, str):
                return stored
            reason = f"the server answered {stored}"
            if stored < 500:
                break
        raise FileUnavailable(f"The output file {name} could not be uploaded: {reason}.")


async def _put(client: "AsyncClient", url: str, file: IO[bytes], headers: Mapping[str, str]) -> str | int:
    """The address of the stored file, or the status of a refusal."""
    from worker.outbound import failures_named  # loaded with the client

    with failures_named():
        async with asyncio.timeout(_UPLOAD_SECONDS):
            for _ in range(_REDIRECTS_MAX + 1):
                response = await client.put(url, content=_chunks(file), headers=headers)
                if response.status_code not in _REPEATING_REDIRECTS or "location" not in response.headers:
                    break
                url = urljoin(url, response.headers["location"])
    if not response.is_success:
        return response.status_code
    stored = urlsplit(urljoin(url, str(response.headers.get("location", ""))))
    # What follows the question mark is the signature of an upload, and would let readers overwrite the file.
    return stored._replace(query="").geturl()


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, 0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


def _data_url(name: str, file: IO[bytes]) -> str:
    content = file.read()
    return f"data:{media_type(name, content[:HEAD_BYTES])};base64,{base64.b64encode(content).decode()}"
