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
    is_base64, payload = _parts(url)
    raw = unquote_to_bytes(payload)
    if not is_base64:
        return raw
    digits = raw.translate(_URL_SAFE, b" \t\r\n").rstrip(b"=")
    try:
        return b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        raise ValueError("its base64 is damaged") from None


def check(url: str) -> None:
    """Raises ValueError if it cannot be decoded, as far as that is seen quickly: percent signs take their time."""
    is_base64, payload = _parts(url)
    if is_base64 and "%" not in payload:
        decoded(url)


def _parts(url: str) -> tuple[bool, str]:
    """Whether it is in base64, and what stands behind the comma."""
    head, _, payload = url[len(SCHEME) :].partition(",")
    return head.rpartition(";")[2].strip().lower() == "base64", payload
