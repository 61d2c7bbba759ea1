"""Encodes what a model returns as JSON.

Files are only named here, as {"$file": path}; the parent stores them. Nothing else may look like that: a model that
repeats its input would hand out any file of this machine.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import io
import json
import os
import shutil
import tempfile
import threading
import types
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Callable

from cog import Secret, URLFile, URLPath
from pinion_runtime.failures import ModelError
from pinion_runtime.nesting import LEVELS_MAX, is_too_deep

_FILE_MARK = '"$file":'  # inside of a text its quotes would be escaped
_named = threading.local()
_CHARACTERS_MAX = 32 << 20
"""The parent reads what comes at once in one go, and everything else waits for that: half a second for numbers."""
_TOO_LARGE = (
    "The output is too large: it has {:,} characters of JSON, and {:,} are allowed at once. "
    "Return it as a file (cog.Path), or yield it in parts."
)
_TOO_DEEP = f"The output is nested too deeply: the limit is {LEVELS_MAX} levels."
_REASONS = (
    ("JSON compliant", "The output contains NaN or Infinity, which JSON cannot express."),
    ("Circular reference", "The output contains itself."),
    ("integer string conversion", "The output contains a whole number of more digits than can be read again."),
)


def encode(value: Any) -> str:
    try:
        encoded = _encode_with_any_keys(value)
    except RecursionError:
        raise ModelError(_TOO_DEEP) from None
    except ValueError as error:
        reason = next((text for mark, text in _REASONS if mark in str(error)), None)
        if reason is None:
            raise
        raise ModelError(reason) from None
    if len(encoded) > _CHARACTERS_MAX:
        raise ModelError(_TOO_LARGE.format(len(encoded), _CHARACTERS_MAX))
    if is_too_deep(encoded):
        raise ModelError(_TOO_DEEP)
    if holds_file(encoded) and encoded.count(_FILE_MARK) != _named.files:
        raise ModelError("The output contains an object with the key $file, which is reserved; return a cog.Path.")
    return encoded


def _encode_with_any_keys(value: Any) -> str:
    """The encoder knows no keys but texts and numbers, and only for values it asks what they stand for."""
    _named.files, _named.is_used_up = 0, False
    try:
        return _encode(value)
    except TypeError as error:
        if not str(error).startswith("keys must be") or _named.is_used_up:
            raise
    _named.files = 0
    return _encode(_with_plain_keys(value))


def _with_plain_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain_key(key): _with_plain_keys(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_plain_keys(each) for each in value]
    return value if value is None or isinstance(value, (str, int, float)) else _with_plain_keys(_plain(value))


def _plain_key(key: Any) -> Any:
    """Members of enumerations and numpy's numbers name classes in many models; a path names what was made of it."""
    if isinstance(key, enum.Enum):
        return _plain_key(key.value)
    if isinstance(key, os.PathLike):
        return os.fspath(key)
    plain = key.item() if callable(getattr(key, "item", None)) else key
    if plain is None or isinstance(plain, (str, int, float)):
        return plain
    raise ModelError(f"The output has a key of type {type(key).__name__}; keys have to be texts or numbers.")


def holds_file(encoded: str) -> bool:
    """Whether an encoded output names files of the model."""
    return _FILE_MARK in encoded


def _plain(value: Any) -> Any:
    """Called for each value that is no JSON; its result may again hold such values."""
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):  # pydantic 2 and ours
        return value.model_dump(warnings=False)  # it would warn of values that are not of their field's type
    # pydantic 1, numpy and torch, in this order: without importing any of them
    for method in ("dict", "tolist", "item"):
        if callable(getattr(value, method, None)) and not isinstance(value, type):
            return getattr(value, method)()
    if callable(getattr(value, "read", None)):  # the wrappers of tempfile are no io.IOBase
        return _open_file(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Iterable) and not isinstance(value, type):
        _named.is_used_up = _named.is_used_up or isinstance(value, Iterator)
        return list(value)
    raise ModelError(f"The output contains a value of type {type(value).__name__}, which cannot be expressed in JSON.")


def _local_file(path: Any) -> dict[str, str]:
    place = os.path.abspath(os.fspath(path))
    if not os.path.isfile(place):
        fault = "is no file" if os.path.exists(place) else "does not exist"
        raise ModelError(f"The output names the file {os.fspath(path)}, which {fault}.")
    _named.files += 1
    return {"$file": place}


def _open_file(file: Any) -> dict[str, str]:
    """An open file goes by its name; what has none, or reads something else than what lies there, is written down."""
    name = getattr(file, "name", None)
    on_disk = name if isinstance(name, str) and os.path.isfile(name) else None
    if on_disk and (file.closed or not file.readable() or _is_plain(file)):
        if not file.closed and file.writable():
            file.flush()
        # A temporary file is gone as soon as the model lets go of it.
        return _local_file(_copied(on_disk) if getattr(getattr(file, "_closer", None), "delete", False) else on_disk)
    named = os.path.splitext(on_disk)[0] if on_disk else str(name or "")  # of pages.txt.gz its reader gives pages.txt
    with suppress(OSError, AttributeError):  # what comes from a pipe is read from where it is
        file.seek(0)
    content = file.read()
    with tempfile.NamedTemporaryFile(suffix=os.path.splitext(named)[1], delete=False) as copy:
        copy.write(content.encode() if isinstance(content, str) else content)
    return _local_file(copy.name)


def _is_plain(file: Any) -> bool:
    """Whether nothing is unpacked while it is read, as gzip does."""
    binary = getattr(file, "buffer", file)
    return isinstance(getattr(binary, "raw", binary), io.FileIO)


def _copied(name: str) -> str:
    with tempfile.NamedTemporaryFile(suffix=os.path.splitext(name)[1], delete=False) as copy:
        shutil.copyfile(name, copy.name)
    return copy.name


def _text(value: bytes | bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ModelError("The output contains bytes that are no text; return a file as cog.Path.") from None


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((URLPath, uuid.UUID), str),
    (URLFile, lambda value: value._url),
    (os.PathLike, _local_file),
    (io.IOBase, _open_file),
    (enum.Enum, lambda value: value.value),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),
    (datetime.timedelta, lambda value: value.total_seconds()),
    (decimal.Decimal, float),
    ((bytes, bytearray), _text),
    (Secret, lambda value: value.get_secret_value()),
    (Mapping, dict),
    (types.SimpleNamespace, vars),
    ((set, frozenset), list),
)

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain).encode
