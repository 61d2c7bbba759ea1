"""Job: deliver what one prediction owes its receiver, message after message.

One lane per prediction: one request in flight, `completed` last. When a message is owed is decided in `lifecycle`.
"""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, time
from typing import Any

import structlog
from sqlalchemy import BindParameter, ColumnElement, Float, Row, and_, bindparam, select, update
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningUpdate

from shared import accounts, webhooks
from shared.contract import WebhookEvent
from shared.database import Database, Transaction, clock
from shared.errors import AddressBlocked, OutboundError
from shared.settings import Settings
from shared.tables import Table, WebhookMessage
from worker.app import BellWorker
from worker.outbound import USER_AGENT, Outbound, post

RETRY_SECONDS = (1, 5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400)
"""Pauses before the second and later attempts at a `completed` message: about three days in all."""
_BLOCKED_ATTEMPTS = 3
_REFUSED_ATTEMPTS = 6
_SNAPSHOT_SECONDS = 5.0
"""The most a message of a running prediction may hold up those behind it."""
_CLAIM_MARGIN_SECONDS = 15.0
_SECRET_CACHE_SECONDS = 5.0
_log = structlog.get_logger()


def _is_due(message: Any) -> ColumnElement[bool]:
    return and_(message.state.in_(("pending", "delivering")), message.next_attempt_at <= clock())


def _claim_statement() -> ReturningUpdate[Any]:
    """Built once. The outer condition is asked again by a sender that had to wait for another one's lock."""
    mine, other = aliased(WebhookMessage), aliased(WebhookMessage)
    lane: BindParameter[str] = bindparam("lane")
    first = select(mine.id).where(mine.prediction_id == lane, _is_due(mine)).order_by(mine.sequence).limit(1)
    in_flight = select(other.id).where(
        other.prediction_id == lane, other.state == "delivering", other.next_attempt_at > clock()
    )
    is_first = WebhookMessage.id == first.scalar_subquery()
    return (
        update(_MESSAGES)
        .where(is_first, _is_due(WebhookMessage), ~in_flight.exists())
        .values(
            state="delivering",
            attempts=_MESSAGES.c.attempts + 1,
            next_attempt_at=clock(bindparam("lapses", type_=Float)),
            claimed_by=bindparam("by_sender"),
        )
        .returning(_MESSAGES)
    )


_MESSAGES = Table.metadata.tables[WebhookMessage.__tablename__]
_CLAIM = _claim_statement()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to; `attempts_max` is how many such answers a message gets."""

    is_delivered: bool
    answer: str
    attempts_max: int = len(RETRY_SECONDS) + 1
    wait_seconds: float = 0.0


@dataclass(slots=True)
class Sender:
    """Delivers for every account."""

    settings: Settings
    database: Database
    client: Outbound
    id: str
    """In whose name messages are claimed: a sender that dies is known to by its sign of life."""
    _secrets: dict[str, tuple[float, str]] = field(default_factory=dict)

    async def deliver(self, queue: BellWorker, prediction_id: str) -> None:
        """Ends when nothing is due, or when the lane is somebody else's."""
        async with self.database.single_statement() as transaction:
            message = await self._claim(transaction, prediction_id)
        while message:
            outcome = await self._attempt(message)
            async with self.database.transaction() as transaction:
                await _settle(transaction, message, outcome)
                message = await self._claim(transaction, prediction_id)

    async def _claim(self, transaction: Transaction, prediction_id: str) -> Row[Any] | None:
        """Take the lane's first due message, unless another of the lane is in flight."""
        lapses = self.settings.webhook_timeout_seconds + _CLAIM_MARGIN_SECONDS
        claimed = await transaction.execute(_CLAIM, {"lane": prediction_id, "lapses": lapses, "by_sender": self.id})
        return claimed.one_or_none()

    async def _attempt(self, message: Row[Any]) -> Outcome:
        timestamp = int(time())
        secret = await self._secret(message.account_id)
        headers = webhooks.headers([secret], message.id, timestamp, message.body, user_agent=USER_AGENT)
        seconds = self.settings.webhook_timeout_seconds
        if message.event != WebhookEvent.COMPLETED:
            seconds = min(seconds, _SNAPSHOT_SECONDS)
        try:
            answer = await post(self.client, message.url, message.body, headers, total=timedelta(seconds=seconds))
        except AddressBlocked as error:
            return Outcome(False, error.message, _BLOCKED_ATTEMPTS, wait_seconds=300.0)
        except OutboundError as error:
            return Outcome(False, error.message)
        except Exception as error:  # whatever it is, the lane must go on and the attempt must count
            _log.error("webhook attempt broke", message_id=message.id, exc_info=error)
            return Outcome(False, type(error).__name__)
        return _judge(answer.status)

    async def _secret(self, account_id: str) -> str:
        until, secret = self._secrets.get(account_id, (0.0, ""))
        if until < monotonic():
            secret = (await accounts.find(self.database, account_id)).webhook_secret
            self._secrets[account_id] = (monotonic() + _SECRET_CACHE_SECONDS, secret)
        return secret


def _judge(status: int) -> Outcome:
    """2xx is success; 410 says never again; other refusals may be a deploy gone wrong, so a few more tries."""
    answer = f"HTTP {status}"
    if 200 <= status < 300:
        return Outcome(True, answer)
    if status == 410:
        return Outcome(False, answer, attempts_max=1)
    if status in (408, 425, 429) or status >= 500 or status < 400:
        return Outcome(False, answer)
    return Outcome(False, answer, _REFUSED_ATTEMPTS)


async def _settle(transaction: Transaction, message: Row[Any], outcome: Outcome) -> None:
    """Delivered, due again, or dead; ignored if the claim has lapsed and somebody else took the message."""
    changes: dict[str, Any] = {"last_answer": outcome.answer}
    if outcome.is_delivered:
        changes["state"] = "delivered"
    elif message.event != WebhookEvent.COMPLETED or message.attempts >= outcome.attempts_max:
        changes["state"] = "dead"
        _log.warning("webhook given up", message_id=message.id, webhook_event=message.event, answer=outcome.answer)
    else:
        pause = max(RETRY_SECONDS[message.attempts - 1], outcome.wait_seconds) * random.uniform(0.8, 1.2)
        changes |= {"state": "pending", "next_attempt_at": clock(pause)}
    is_mine = and_(
        WebhookMessage.id == message.id,
        WebhookMessage.state == "delivering",
        WebhookMessage.attempts == message.attempts,
    )
    await transaction.execute(update(WebhookMessage).where(is_mine).values(**changes))
