"""Secrets as they lie in the database: encrypted, with keys that do not lie there.

AES-256-GCM. What is encrypted names its key, so that keys can be changed, and is bound to its place: in another row it
is worth nothing. Which columns hold secrets is not known here.
"""

import base64
import binascii
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import KeyMissing, SettingsError, Tampered
from shared.settings import KEY_BYTES, Settings, read_keys

_MARK = "enc"
_NONCE_BYTES = 12
_ID_LENGTH = 8
_ENCRYPTED = re.compile(rf"{_MARK}:([0-9a-f]{{{_ID_LENGTH}}}):([A-Za-z0-9_-]+=*)")


class Vault:
    """Encrypts with the first of its keys, and decrypts with any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {sha256(key).hexdigest()[:_ID_LENGTH]: AESGCM(key) for key in keys}
        self._newest = next(iter(self._ciphers))

    @property
    def prefix(self) -> str:
        """With which everything begins that is encrypted with the newest key."""
        return f"{_MARK}:{self._newest}:"

    def encrypt(self, secret: str, place: str) -> str:
        """A secret as it may be kept in a place; 4 characters for 3 of it and its frame, 13 more before them."""
        nonce = os.urandom(_NONCE_BYTES)
        content = self._ciphers[self._newest].encrypt(nonce, secret.encode(), place.encode())
        return self.prefix + base64.urlsafe_b64encode(nonce + content).decode()

    def decrypt(self, kept: str, place: str) -> str:
        """The secret; what was kept before secrets were encrypted is one itself. Raises SecretUnreadable."""
        found = _ENCRYPTED.fullmatch(kept)
        if not found:
            return kept
        cipher, raw = self._ciphers.get(found[1]), base64.urlsafe_b64decode(found[2])
        if cipher is None:
            raise KeyMissing(found[1])
        try:
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()).decode()
        except InvalidTag:
            raise Tampered(place) from None


def is_encrypted(value: object) -> bool:
    """Whether something kept is the work of a vault."""
    return isinstance(value, str) and _ENCRYPTED.fullmatch(value) is not None


def key_file(home: Path) -> Path:
    """Where the keys are kept if no setting has them: one a line, the newest first."""
    return home / "encryption-key"


def open_vault(settings: Settings) -> Vault:
    """With the keys of the settings, or those of the file, which is made where there is none."""
    if settings.encryption_key:
        return Vault(read_keys(settings.encryption_key.get_secret_value()))
    file = key_file(settings.home)
    if not file.exists():
        _make(file)
    try:
        return Vault(read_keys(",".join(file.read_text().split())))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be used ({error}): put it back from a backup.") from error


def _make(file: Path) -> None:
    """Whoever is first of several processes or hosts makes it, and a start cut short leaves no half of it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{os.getpid()}.{binascii.hexlify(os.urandom(4)).decode()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as content:
        content.write(base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n")
        content.flush()
        os.fsync(descriptor)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass  # another was quicker
    finally:
        draft.unlink()
