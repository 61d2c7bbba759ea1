"""Identifiers that cannot be guessed.

Nothing is looked up or stored here.
"""

import base64
import secrets
import string

_BASE62 = string.digits + string.ascii_letters


def new_id() -> str:
    """26 lower-case base32 characters holding 128 random bits, the shape of Replicate's own ids."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def new_token() -> str:
    """An API token in the shape of Replicate's, with more than 200 random bits."""
    return "r8_" + "".join(secrets.choice(_BASE62) for _ in range(37))
