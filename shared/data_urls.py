"""What a data URL holds, by RFC 2397, and base64 as clients really write it.

Which addresses may be files of an input is not known here.
"""

import binascii
from base64 import b64decode
from urllib.parse import unquote_to_bytes

SCHEME = "data:"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def is_data(url: str) -> bool:
    return url[: len(SCHEME)].lower() == SCHEME


def decoded(url: str) -> bytes:
    """Its bytes, in whichever alphabet of base64 and with or without its padding; ValueError."""
    head, _, payload = url[len(SCHEME) :].partition(",")
    raw = unquote_to_bytes(payload)
    if head.rpartition(";")[2].strip().lower() != "base64":
        return raw
    digits = raw.translate(_URL_SAFE, b" \t\r\n").rstrip(b"=")
    try:
        return b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        raise ValueError("its base64 is damaged") from None
