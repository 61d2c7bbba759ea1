"""The API as a client sees it: which server, which token, and its errors as one readable message.

What is asked for is the commands' business.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from cli import home
from cli.address import read_address
from cli.failure import Failure

_ABOUT_TOKENS = (
    "the token is that of PINION_API_TOKEN, else of REPLICATE_API_TOKEN, else, on the server's own machine, "
    "the one `pinion up` printed"
)
_TIMEOUT = httpx.Timeout(30.0, read=120.0)


@contextmanager
def connect(url: str | None) -> Iterator[httpx.Client]:
    """A client whose addresses begin at /v1. Whatever keeps it from an answer becomes a Failure."""
    folder = home.locate(os.environ)
    base = find_base(url, folder, os.environ)
    headers = {"Authorization": f"Bearer {token}"} if (token := find_token(base, folder, os.environ)) else {}
    try:
        with httpx.Client(base_url=f"{base}/v1", headers=headers, timeout=_TIMEOUT) as client:
            yield client
    except httpx.ConnectError:
        raise Failure(
            f"Nothing answers at {base}: start it with ./pinion up, or name another server with --url."
        ) from None
    except httpx.HTTPError as error:
        raise Failure(f"The connection to {base} broke ({error or type(error).__name__}): try again.") from None


def find_base(url: str | None, folder: Path, environment: Mapping[str, str]) -> str:
    """The server's address without /v1, whichever way it was written."""
    found = url or environment.get("REPLICATE_BASE_URL") or _near_address(folder, environment)
    if urlsplit(found).scheme not in ("http", "https"):
        raise Failure(f"{found} is not an address of a server: write it like http://127.0.0.1:8000")
    return found.rstrip("/").removesuffix("/v1")


def find_token(base: str, folder: Path, environment: Mapping[str, str]) -> str | None:
    """The token for a server. The one kept on this machine is for this machine's Pinion, and goes nowhere else."""
    if token := environment.get("PINION_API_TOKEN") or environment.get("REPLICATE_API_TOKEN"):
        return token
    return home.stored_token(folder) if base == _near_address(folder, environment) else None


def answer(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a good answer; a bad one is raised in the server's own words."""
    try:
        content = response.json()
    except (JSONDecodeError, UnicodeDecodeError):
        content = None
    if response.is_success and isinstance(content, dict):
        return content
    problem = content if isinstance(content, dict) else {}
    title = problem.get("title") or f"HTTP {response.status_code}"
    detail = str(problem.get("detail") or f"unexpected answer from {response.url}").strip()
    hint = f" ({_ABOUT_TOKENS})" if response.status_code == 401 else ""
    raise Failure(f"{title}: {detail}{hint}")


def _near_address(folder: Path, environment: Mapping[str, str]) -> str:
    """Of this machine's Pinion: as set, else where it last was started, else the default."""
    if environment.get("PINION_PORT") or environment.get("PINION_HOST"):
        return read_address(environment).url
    return home.stored_address(folder) or read_address(environment).url
