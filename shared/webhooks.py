"""Webhook messages: ids, signatures and headers (Standard Webhooks), and which URLs we accept as receivers.

Nothing is sent or resolved here; worker/deliver.py sends, and worker/outbound.py judges the addresses behind a name.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import httpx

from shared.addresses import REFUSED_PORTS, IPNetwork, is_allowed, known_address
from shared.errors import InvalidWebhook

URL_CHARACTERS_MAX = 2_048

_SECRET_PREFIX = "whsec_"  # noqa: S105  the public prefix, not a secret
_SECRET_BYTES = 32
_KEY_ID_CHARACTERS = 8
_MESSAGE_ID_CHARACTERS = 26
_MESSAGE_ID = re.compile(rf"msg_[a-z2-7]{{{_MESSAGE_ID_CHARACTERS}}}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_MASK = "***"


def new_secret() -> str:
    """A fresh signing key. Standard base64, because clients split at `_` and refuse the URL-safe alphabet."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def key_id(secret: str) -> str:
    """By which secrets are told apart without being shown: the beginning of its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:_KEY_ID_CHARACTERS]


def message_id(lane: str, event: str, sequence: int) -> str:
    """The same for every attempt and after every crash, so a receiver can tell a repetition; holds no dot."""
    digest = hashlib.sha256(f"{lane}\n{event}\n{sequence}".encode()).digest()
    return "msg_" + base64.b32encode(digest).decode().lower()[:_MESSAGE_ID_CHARACTERS]


def is_message_id(text: str) -> bool:
    """Whether it is an id as we give them; those of other senders are longer, or no base32."""
    return bool(_MESSAGE_ID.fullmatch(text))


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One `v1,…` signature over exactly the bytes that are sent."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def headers(
    signing_secrets: Sequence[str], message_id: str, timestamp: int, body: bytes, *, user_agent: str
) -> dict[str, str]:
    """Headers of one delivery attempt; `timestamp` is that of this attempt, the newest secret comes first."""
    return {
        "content-type": "application/json",
        "user-agent": user_agent,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, message_id, timestamp, body) for secret in signing_secrets),
    }


def check_url(url: str, allowed_networks: Sequence[IPNetwork], require_https: bool = False) -> None:
    """Raise InvalidWebhook with a sentence unless this could be a receiver.

    Names are not resolved: that would be slow, would tell callers what our DNS knows, and would prove nothing
    about the moment of sending.
    """
    _check_spelling(url)
    try:
        parsed = httpx.URL(url)  # the parser of the client that will send, so both see the same host
    except httpx.InvalidURL as error:
        raise InvalidWebhook("webhook is not a valid URL") from error
    if parsed.scheme != "https" and (require_https or parsed.scheme != "http"):
        raise InvalidWebhook(f"webhook must be an {'https' if require_https else 'http or https'} URL")
    if parsed.port is not None and not 1 <= parsed.port <= 65_535:
        raise InvalidWebhook("webhook must have a port between 1 and 65535")
    if parsed.port in REFUSED_PORTS:
        raise InvalidWebhook(f"webhook must not have port {parsed.port}, which is that of another kind of server")
    _check_host(parsed.raw_host.decode("ascii"), allowed_networks)


def host_of(url: str) -> str:
    """Host and port of an accepted URL, by which receivers are told apart; no user and no password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def redacted(url: str) -> str:
    """The URL for logs and pages: user, password and query values masked, since people put keys there."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return _MASK
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{_MASK}@{host}" if "@" in parts.netloc else host
    query = "&".join(f"{name}={_MASK}" if value else _MASK for name, value in pairs)
    return parts._replace(netloc=netloc, query=query, fragment="").geturl()


def _check_spelling(url: str) -> None:
    """What two parsers could read differently, or what could split a header, is refused before any parsing."""
    if len(url) > URL_CHARACTERS_MAX:
        raise InvalidWebhook(f"webhook must have at most {URL_CHARACTERS_MAX} characters")
    if not url.isprintable() or any(character.isspace() for character in url) or "\\" in url:
        raise InvalidWebhook("webhook must not contain blanks, control characters or backslashes")
    if "#" in url:
        raise InvalidWebhook("webhook must not have a fragment")


def _check_host(host: str, allowed_networks: Sequence[IPNetwork]) -> None:
    if not host:
        raise InvalidWebhook("webhook must have a host")
    name = host.removesuffix(".")
    address = known_address(host)
    if address is not None and not is_allowed(address, allowed_networks):
        raise InvalidWebhook("webhook must not point to a private or reserved address")
    if address is None and (len(name) > 253 or not _HOST_NAME.fullmatch(host) or _looks_numeric(name)):
        raise InvalidWebhook("webhook must have a valid host")


def _looks_numeric(name: str) -> bool:
    # No top-level domain starts with a digit; such a host is a misspelled address some resolver might still read.
    return name.rpartition(".")[2][0].isdigit()
