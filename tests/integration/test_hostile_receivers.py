"""A sender process beside receivers that mean no good: each gets what it is due, and none costs memory."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from sqlalchemy import Row, select

from shared.contract import WebhookEvent
from shared.database import clock
from shared.ids import new_id
from shared.settings import Settings
from shared.tables import WebhookAttempt, WebhookMessage
from tests.certificate import KEY_AND_CERTIFICATE
from tests.database_fixtures import Rows, until
from tests.listener import (
    Behaviour,
    Listener,
    answering,
    drip_feeding,
    hanging,
    hanging_up,
    pouring,
    pouring_headers,
    promising,
    resetting,
)
from tests.senders import Senders, senders

LATE, BROKEN, NOT_MADE = (
    "no complete answer in time",
    "the connection broke before the answer was complete",
    "CERTIFICATE_VERIFY_FAILED",
)
METADATA = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
ROUNDS = 3
GROWTH_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class Kind:
    """How a receiver behaves, and what is noted of an attempt to send it something."""

    behaviour: Behaviour
    answer: str
    is_secure: bool = False


KINDS = (
    Kind(hanging, LATE),
    Kind(drip_feeding, LATE),
    Kind(promising, LATE),
    Kind(pouring, "HTTP 200"),
    Kind(pouring_headers, BROKEN),
    Kind(hanging_up, BROKEN),
    Kind(resetting, BROKEN),
    Kind(answering(b"\0\xff" * 5000), BROKEN),
    Kind(answering(METADATA), "HTTP 302"),
    Kind(answering(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"), "HTTP 410"),
    Kind(hanging, NOT_MADE, is_secure=True),
)


@pytest.fixture
def hurried(settings: Settings) -> Iterator[Senders]:
    """Senders that wait three seconds for an answer."""
    with senders(settings, PINION_WEBHOOK_TIMEOUT_SECONDS="3") as started:
        yield started


@asynccontextmanager
async def listening(kind: Kind, folder: Path) -> AsyncIterator[str]:
    """The address of a receiver of that kind."""
    (folder / "chain.pem").write_text(KEY_AND_CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem")
    listener = Listener()
    listener.behaviour = kind.behaviour
    async for started in listener.serve(context if kind.is_secure else None):
        yield started.url(scheme="https" if kind.is_secure else "http")


@pytest_asyncio.fixture
async def receivers(tmp_path: Path) -> AsyncIterator[list[tuple[Kind, str]]]:
    async with AsyncExitStack() as stack:
        yield [(kind, await stack.enter_async_context(listening(kind, tmp_path))) for kind in KINDS]


async def test_each_attempt_ends_in_time_and_the_sender_stays_as_small_as_it_was(
    rows: Rows, receivers: list[tuple[Kind, str]], hurried: Senders
) -> None:
    sender = psutil.Process(hurried.start().pid)
    sizes = []
    for _ in range(ROUNDS):
        owed = [(kind, await owing(rows, url)) for kind, url in receivers]
        for kind, row in owed:
            answer = await until(lambda row=row: _first_answer(rows, row), 20)
            assert kind.answer in answer
        await rows.change(WebhookMessage, WebhookMessage.state == "pending", next_attempt_at=clock(3600))
        sizes.append(sender.memory_info().rss)
    assert sizes[-1] - sizes[0] < GROWTH_BYTES_MAX, sizes


async def owing(rows: Rows, url: str) -> Row[Any]:
    return await rows.ended(webhook=f"{url}/{new_id()}", webhook_events=(WebhookEvent.COMPLETED,))


async def _first_answer(rows: Rows, row: Row[Any]) -> str | None:
    first = (WebhookAttempt.message_id == WebhookMessage.id, WebhookAttempt.number == 1)
    query = select(WebhookAttempt.answer).where(WebhookMessage.prediction_id == row.id, *first)
    async with rows.database.reading() as connection:
        return (await connection.execute(query)).scalar_one_or_none()
