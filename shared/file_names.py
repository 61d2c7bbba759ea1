"""Names and media types of files, whoever named them: clients, URLs or models.

A name is only shown, or used inside a folder that holds nothing else; where bytes lie is decided in `file_store`.
"""

import mimetypes
import re
from urllib.parse import unquote, urlsplit

FILE_KEY = "$file"
"""In an output, marks an object that stands for a file. No model can put such an object there itself."""
NAME_BYTES_MAX = 200
"""With room for what others put before or behind a name; file systems end at 255."""
HEAD_BYTES = 16
"""How much of a file `media_type` wants to see."""
UNKNOWN_TYPE = "application/octet-stream"
_NO_NAME = "file"
_SUFFIX_BYTES_MAX = 32
# A control character, lone surrogate or slash has no place in a header, in JSON or in a folder.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\]")
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,126}(;\s*charset=[a-z0-9-]{1,40})?", re.IGNORECASE)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"WAVE", 8, "audio/x-wav"),
    (b"OggS", 0, "audio/ogg"),
    (b"ID3", 0, "audio/mpeg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"%PDF-", 0, "application/pdf"),
    (b"PK\x03\x04", 0, "application/zip"),
)
# What the standard library does not know on every system; a table of ours wins over that of the host.
_TYPES = mimetypes.MimeTypes()
for _type, _suffix in (
    ("image/webp", ".webp"),
    ("audio/flac", ".flac"),
    ("audio/ogg", ".ogg"),
    ("text/markdown", ".md"),
):
    _TYPES.add_type(_type, _suffix)
_SHOWN_IN_PLACE = re.compile(r"image/(png|jpeg|gif|webp|avif|bmp)|(audio|video)/[\w.+-]+|text/plain|application/json")


def file_name(text: str) -> str:
    """A name without folders and control characters, in at most 200 bytes, its extension kept."""
    name = _UNSAFE.sub("_", text.replace("\\", "/").rstrip("/").rpartition("/")[2]).strip()
    if name.strip(".") == "":
        return _NO_NAME
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _SUFFIX_BYTES_MAX:
        return _clipped(name, NAME_BYTES_MAX)
    return _clipped(stem, NAME_BYTES_MAX - len((dot + suffix).encode())) + dot + suffix


def name_of_url(url: str) -> str:
    """What comes last in the path of a URL; of a data URL `file` with the extension of its type."""
    if url[:5].lower() == "data:":
        kind = url[5:].partition(",")[0].partition(";")[0].strip().lower()
        return _NO_NAME + (extension_of(kind) or "")
    try:
        last = urlsplit(url).path.rpartition("/")[2]
    except ValueError:  # whoever fetches it will say what is wrong
        return _NO_NAME
    # An escaped slash is a part of the name, so it must not cut it.
    return file_name(unquote(last).replace("/", "_"))


def extension_of(kind: str) -> str | None:
    """The usual extension of a media type, with its dot."""
    return _TYPES.guess_extension(kind)


def media_type(name: str, head: bytes = b"") -> str:
    """The type a name stands for, or else the one that the first bytes of the file show."""
    kind, encoding = _TYPES.guess_type(name)
    if kind and not encoding:
        return kind
    found = (kind for magic, place, kind in _MAGIC if head[place : place + len(magic)] == magic)
    return next(found, UNKNOWN_TYPE)


def checked_type(text: str) -> str | None:
    """A media type somebody sent us, if it is one."""
    return text.strip() if _TYPE.fullmatch(text.strip()) else None


def is_shown_in_place(kind: str) -> bool:
    """Whether a browser may show it under our address: nothing that can hold a script."""
    return _SHOWN_IN_PLACE.fullmatch(kind.partition(";")[0].strip().lower()) is not None


def _clipped(text: str, limit_bytes: int) -> str:
    return text.encode()[:limit_bytes].decode(errors="ignore")
