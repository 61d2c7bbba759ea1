"""`cog.json`: helpers that some older models import to turn what they return into plain JSON values.

The runtime has an encoder of its own.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import io
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Callable


def make_encodeable(value: Any) -> Any:
    """Records, enums, dates, sets, generators and numpy values as plain ones; files stay what they are."""
    if value is None or isinstance(value, (str, int, float, bytes, pathlib.Path, io.IOBase)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, enum.Enum):
        return make_encodeable(value.value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return pathlib.Path(value)
    if isinstance(value, Mapping):
        return {make_encodeable(key): make_encodeable(each) for key, each in value.items()}
    for method in ("model_dump", "dict", "tolist"):
        if callable(getattr(value, method, None)):
            return make_encodeable(getattr(value, method)())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: make_encodeable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [make_encodeable(each) for each in value] if isinstance(value, Iterable) else value


def upload_files(value: Any, upload_file: Callable[[Any], str]) -> Any:
    """The same value with every file in it replaced by what `upload_file` says of it."""
    if isinstance(value, Mapping):
        return {key: upload_files(each, upload_file) for key, each in value.items()}
    if isinstance(value, list):
        return [upload_files(each, upload_file) for each in value]
    if isinstance(value, os.PathLike):
        with open(value, "rb") as file:
            return upload_file(file)
    return upload_file(value) if isinstance(value, io.IOBase) else value
