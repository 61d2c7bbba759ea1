"""All configuration, read from the environment once and handed on.

Nobody else reads the environment; a value that cannot work stops the start with a sentence.
"""

import base64
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.isolation import Isolation

Network = IPv4Network | IPv6Network

_DRIVERS = {"postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
KEY_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token of RFC 6750."""


def _networks(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def _async_driver(value: Any) -> Any:
    """Let people paste the URL their database shows them: the drivers are ours to choose."""
    if not isinstance(value, str):
        return value
    scheme, separator, rest = value.partition("://")
    driver = _DRIVERS.get(scheme.partition("+")[0])
    if value and not (driver and separator):
        raise ValueError("it takes postgresql://user:password@host/name or sqlite:////path/to/file")
    return f"{driver}{separator}{rest}" if driver else value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("it takes an address like https://pinion.example.com")
    return value.rstrip("/")


def _sendable(token: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise ValueError("a token takes letters, digits and -._~+/= only, as it has to pass through an HTTP header")
    return token


def read_keys(text: str) -> list[bytes]:
    """Keys that encrypt, the newest first; ValueError."""
    keys = [base64.b64decode(part.strip(), validate=True) for part in text.split(",")]
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("no key of 32 bytes")
    return keys


def _readable(keys: SecretStr) -> SecretStr:
    try:
        read_keys(keys.get_secret_value())
    except ValueError:
        raise ValueError("a key is what `openssl rand -base64 32` gives; several are separated by commas") from None
    return keys


class Settings(BaseSettings):
    """One field per setting; `.env.example` has a line for each."""

    model_config = SettingsConfigDict(env_prefix="PINION_", env_ignore_empty=True, extra="ignore")

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Path.home() / ".local/share/pinion"
    """Folder for everything Pinion keeps on this host."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_token: Annotated[SecretStr, AfterValidator(_sendable)] | None = None
    """The first account's token; `pinion up` makes one when it is missing."""
    encryption_key: Annotated[SecretStr, AfterValidator(_readable)] | None = None
    """Encrypts secrets in the database; earlier ones follow after commas. None: a file in `home`, made when missing."""
    database_url: Annotated[str, BeforeValidator(_async_driver)] = Field(
        default="", validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    """Empty: SQLite in `home`."""
    redis_url: str = Field(default="", validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    """Empty: the private Valkey's socket in `home`."""
    public_url: Annotated[str, AfterValidator(_web_address)] = ""
    """Address under which clients reach the API; empty: the one a client used, in webhooks http://host:port."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = (
        ip_network("127.0.0.0/8"),
        ip_network("::1/128"),
    )
    """Networks of reverse proxies that are believed when they say that a client used https, comma-separated."""
    webhook_allow_cidrs: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = ()
    """Networks webhooks may reach although they are private, comma-separated."""
    webhook_require_https: bool = False
    """Refuse webhooks to http addresses, over which anybody on the way reads what is sent."""
    file_allow_cidrs: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = ()
    """Networks file inputs may come from although they are private; apart from webhooks, which only write there."""
    webhook_interval_seconds: float = Field(default=0.5, ge=0.05)
    """Shortest time between two `output` or `logs` webhooks, and between two saves of a running prediction."""
    webhook_timeout_seconds: float = Field(default=15.0, gt=0)
    """Longest time one delivery attempt may take."""
    webhook_retries: Literal["pinion", "replicate"] = "pinion"
    """How long a `completed` webhook is tried: about three days, or a minute as Replicate does."""
    heartbeat_seconds: float = Field(default=1.0, gt=0)
    lease_seconds: float = Field(default=10.0, gt=0)
    """A worker silent for this long is taken for dead."""
    setup_seconds: float = Field(default=1800.0, gt=0)
    """How long a model may take from its start until its setup is over, downloads included."""
    build_seconds: float = Field(default=3600.0, gt=0)
    """How long building a model's environment may take, and fetching its weights, downloads included."""
    model_memory_bytes: int = Field(default=0, ge=0)
    """Main memory that the models of a host may take together before idle ones are ended; 0: three quarters of all."""
    isolation: Isolation = Isolation.AUTO
    """How models are kept away from the service: by a sandbox, not at all, or auto: by a veil, or as accounts ask."""
    drain_seconds: float = Field(default=6.0, ge=0)
    """How long a stopping worker lets its running predictions finish."""
    max_connections: int = Field(default=5000, gt=0)
    """Open connections of an API process, as far as its limit of open files allows."""
    head_seconds: float = Field(default=10.0, gt=0)
    """How long the headers of a request may take to arrive."""
    body_seconds: float = Field(default=60.0, gt=0)
    """How long a body may take, besides a second for every 8 KiB that have arrived."""
    max_streams: int = Field(default=4000, gt=0)
    """Event streams open at one API process; fewer than connections, so that there is room for everything else."""
    max_body_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """Largest JSON body; official clients inline up to 13.4 MB of base64."""
    max_archive_bytes: int = Field(default=20 * 1024**3, gt=0)
    """Largest pushed model, all its files together."""
    max_upload_bytes: int = Field(default=100 * 1024 * 1024, gt=0)
    """Largest file a client may upload."""
    max_input_bytes: int = Field(default=1024**3, gt=0)
    """Largest file fetched as an input from elsewhere."""
    fetch_seconds: float = Field(default=60.0, gt=0)
    """How long fetching one input file may take."""
    upload_seconds: float = Field(default=86_400.0, gt=0)
    """How long an uploaded file is kept."""
    output_seconds: float = Field(default=0.0, ge=0)
    """How long an output file is kept; 0: as long as its prediction."""
    api_data_seconds: float = Field(default=3600.0, ge=0)
    """How long input, output, logs and files of an ended prediction are kept, if it was made by API; 0: for ever."""
    web_data_seconds: float = Field(default=90 * 86_400.0, ge=0)
    """The same for one that was made in the browser."""
    rate_limits: bool = False
    """Whether an account may only do so much in a minute; the numbers below are Replicate's."""
    creates_per_minute: int = Field(default=600, gt=0)
    """New predictions of an account."""
    polls_per_minute: int = Field(default=60_000, gt=0)
    """Looks of an account at single predictions, which clients repeat until one has ended."""
    requests_per_minute: int = Field(default=3000, gt=0)
    """Everything else an account asks for."""
    wrong_tokens_per_minute: int = Field(default=60, gt=0)
    """Tokens that do not exist, from one address, or one IPv6 network of 64 bits."""
    streams_per_account: int = Field(default=50, gt=0)
    """Event streams of an account's predictions open at one API process."""
    account_predictions_max: int = Field(default=0, ge=0)
    """Predictions of an account that may wait and run at once, if it has no limit of its own; 0: none, as below."""
    model_backlog_max: int = Field(default=10_000, ge=0)
    """Predictions that may wait for one version."""
    backlog_max: int = Field(default=100_000, ge=0)
    """Predictions that may wait at all."""
    queue_seconds: float = Field(default=0.0, ge=0)
    """How long a prediction may wait to be begun before it is given up; 0: as long as it takes."""
    database_pool: int = Field(default=10, gt=0)
    """Connections each process may hold to the database."""

    crash_file: Path | None = None
    """For tests: a file that names a point of shared/crash.py at which the process is killed."""

    def model_post_init(self, context: Any, /) -> None:
        if not self.database_url:
            self.database_url = f"sqlite+aiosqlite:///{self.home / 'pinion.db'}"
        if not self.redis_url:
            self.redis_url = f"unix://{self.home / 'valkey.sock'}"

    @property
    def address(self) -> str:
        """What links start with where no client says how it reached us."""
        return self.public_url or f"http://{self.host}:{self.port}"
