"""Uploaded files on the wire.

Where bytes lie is not told to anybody.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from shared.contract.page import Page


class FileUrls(BaseModel):
    """Where to read about a file, which is also what to give as an input, and where to download it (ours)."""

    get: str
    download: str


class File(BaseModel):
    """An uploaded file as its owner sees it."""

    id: str
    name: str
    content_type: str
    size: int
    etag: str
    checksums: dict[str, str]
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    urls: FileUrls


class FilePage(Page[File]):
    """Files, newest first."""
