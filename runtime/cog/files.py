"""`cog.files`: helpers that some older models import to hand out a file as a data URL.

The runtime does not use them; it names files and leaves them to its parent.
"""

from __future__ import annotations

import base64
import mimetypes
import os
from typing import Any


def guess_filename(file: Any) -> str:
    """The bare name of an open file; `file` when it has none."""
    name = getattr(file, "name", None)
    return os.path.basename(name) if isinstance(name, str) else "file"


def upload_file(file: Any, output_file_prefix: str | None = None) -> str:
    """The content of an open file as a data URL; a prefix to upload to is not known here."""
    content = file.read()
    media_type = mimetypes.guess_type(guess_filename(file))[0] or "application/octet-stream"
    encoded = base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
    return f"data:{media_type};base64,{encoded}"
