"""The types a model may use in its signatures: files, secrets and iterators.

Which of them is allowed where, and how a value is converted, is decided in pinion_runtime.
"""

from __future__ import annotations

import io
import mimetypes
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.parse
from abc import abstractmethod
from typing import Any, AsyncIterator, Iterator, TypeVar

from cog.exceptions import ExperimentalFeatureWarning
from cog.fields import Input

__all__ = [
    "AsyncConcatenateIterator",
    "ConcatenateIterator",
    "ExperimentalFeatureWarning",
    "File",
    "Input",
    "Opaque",
    "Path",
    "Secret",
    "URLFile",
    "URLPath",
]

_URL_SCHEMES = ("http:", "https:", "data:")
_OPEN_TIMEOUT_SECONDS = 10
_NAME_BYTES = 200

_Item_co = TypeVar("_Item_co", covariant=True)


class ConcatenateIterator(Iterator[_Item_co]):
    """An iterator of strings that a reader joins to one text."""

    @abstractmethod
    def __next__(self) -> _Item_co: ...


class AsyncConcatenateIterator(AsyncIterator[_Item_co]):
    @abstractmethod
    async def __anext__(self) -> _Item_co: ...


class Opaque:
    """`Annotated[T, Opaque]`: pass the value on as it is, whatever T says."""


class _Field:
    """What pydantic 1 and 2 ask of a class that stands in a model of theirs."""

    @classmethod
    def validate(cls, value: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def __get_validators__(cls) -> Iterator[Any]:
        yield cls.validate

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # what pydantic_core's no_info_plain_validator_function() returns; nothing foreign is imported here
        return {"type": "function-plain", "function": {"type": "no-info", "function": cls.validate}}


class Secret(_Field):
    """A text that does not show itself when printed."""

    @classmethod
    def validate(cls, value: Any) -> Secret:
        return value if isinstance(value, Secret) else cls(value)

    def __init__(self, secret_value: str | None) -> None:
        self._secret_value = secret_value

    def get_secret_value(self) -> str | None:
        return self._secret_value

    def __str__(self) -> str:
        return "" if self._secret_value is None else "*" * 10

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __len__(self) -> int:
        return len(self._secret_value or "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._secret_value == self._secret_value

    def __hash__(self) -> int:
        return hash(self._secret_value)


class Path(_Field, pathlib.PosixPath):  # the concrete class, so that joins stay a cog.Path
    @classmethod
    def validate(cls, value: Any) -> pathlib.Path:
        """A path as it is, a text as a path, a URL as a file that is not yet downloaded."""
        if isinstance(value, pathlib.Path):
            return value
        return URLPath(value) if str(value).startswith(_URL_SCHEMES) else cls(value)


class URLPath(Path):
    """A file behind a URL that is not downloaded yet; its `str()` is the URL."""

    _url = ""

    def __new__(cls, url: str) -> URLPath:
        path = super().__new__(cls, _file_name(url))
        path._url = url
        return path

    def __init__(self, url: str) -> None:
        if sys.version_info >= (3, 12):  # before, __new__ has done all of it
            super().__init__(_file_name(url))

    def convert(self) -> Path:
        """Downloads the file to a temporary place, once for each call."""
        with tempfile.NamedTemporaryFile(suffix=f"-{_short(_file_name(self._url))}", delete=False) as local, _open(
            self._url
        ) as remote:
            shutil.copyfileobj(remote, local)
        return Path(local.name)

    def __str__(self) -> str:
        return self._url or super().__str__()

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return (URLPath, (self._url,))


class File(_Field, io.IOBase):
    """Deprecated by Cog in favour of Path. As an input it is an open binary file."""

    @classmethod
    def validate(cls, value: Any) -> Any:
        """An open file as it is, a URL as a file opened on first use, a text as the path of a file to open."""
        if isinstance(value, io.IOBase):
            return value
        return URLFile(value) if str(value).startswith(_URL_SCHEMES) else open(value, "rb")


class URLFile(io.IOBase):
    """A file behind a URL, opened when it is first read."""

    def __init__(self, url: str, filename: str | None = None) -> None:
        self._url = url
        self._opened: Any = None
        self.name = filename or _file_name(url)

    def read(self, size: int = -1) -> bytes:
        if self._opened is None:
            self._opened = _open(self._url)
        content: bytes = self._opened.read(None if size < 0 else size)
        return content

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        super().close()

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # an open connection cannot be pickled
        return (URLFile, (self._url, self.name))


def _open(url: str) -> Any:
    import urllib.request  # slow to import, and most models never need it

    headers = {"User-Agent": os.environ.get("COG_USER_AGENT", "cog-worker")}
    if not url.startswith(_URL_SCHEMES):
        raise ValueError("only http, https and data URLs can be opened")
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the schemes are checked above
    return urllib.request.urlopen(request, timeout=_OPEN_TIMEOUT_SECONDS)  # noqa: S310


def _file_name(url: str) -> str:
    if url.startswith("data:"):
        media_type = url[len("data:") :].partition(",")[0].partition(";")[0]
        return f"file{mimetypes.guess_extension(media_type) or ''}"
    last = urllib.parse.urlparse(url).path.rpartition("/")[2]
    return urllib.parse.unquote(last).replace("/", "_").replace("\0", "_") or "file"


def _short(name: str) -> str:
    """Within what a file system takes, and with its extension."""
    stem, extension = os.path.splitext(name)
    room = max(0, _NAME_BYTES - len(extension.encode()))
    return stem.encode()[:room].decode(errors="ignore") + extension
