"""Identifiers that cannot be guessed.

Nothing is looked up or stored here.
"""

import base64
import secrets


def new_id() -> str:
    """26 lower-case base32 characters holding 128 random bits, the shape of Replicate's own ids."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
