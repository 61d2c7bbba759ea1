"""Job: deliver what is due in one lane, message after message, such as what a prediction owes its receiver.

One request of a lane is in flight, `completed` last. When a message is owed is decided in `lifecycle`, what an answer
means in `schedule`, how the receivers are doing in `receivers`.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from time import monotonic, perf_counter
from typing import Any

import structlog
from sqlalchemy import BindParameter, ColumnElement, Float, Row, and_, bindparam, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningUpdate

from shared import crash, webhook_secrets, webhooks
from shared.contract import WebhookEvent
from shared.database import Database, Transaction, clock
from shared.errors import ConnectFailed, ConnectionLost, OutboundError
from shared.settings import Settings
from shared.tables import Table, WebhookAttempt, WebhookEndpoint, WebhookMessage
from worker import claims, pauses, peers
from worker.app import BellWorker
from worker.outbound import USER_AGENT, Answer, Outbound, post
from worker.persistence import persistently
from worker.receivers import Receiver, Receivers
from worker.schedule import Outcome, answered, held_back, pause, paused, reason, trigger, turn, turns, unanswered

_SNAPSHOT_SECONDS = 5.0
"""The most a message of a running prediction may hold up those behind it."""
_SNAPSHOTS = (WebhookEvent.START, WebhookEvent.OUTPUT, WebhookEvent.LOGS)
_COME_AGAIN_SECONDS = 10.0
"""After which a lane looks again whose receiver has so many waiting that it cannot be remembered."""
_CLAIM_MARGIN_SECONDS = 15.0
_CLAIM_SETTLED_SECONDS = 3.0
"""After which whoever has claimed a message knows it."""
_EARLY_SECONDS = 1.0
_RELEASE_SECONDS = 2.0
_SECRET_CACHE_SECONDS = 5.0
_TOLD = ("answer", "status", "response", "location", "milliseconds", "address", "signed_by")
"""What the log of attempts has of an outcome."""
_log = structlog.get_logger()


def _is_due(message: Any) -> ColumnElement[bool]:
    return and_(message.state.in_(("pending", "delivering")), message.next_attempt_at <= clock())


def _claim_statement() -> ReturningUpdate[Any]:
    """Built once. The outer condition is asked again by a sender that had to wait for another one's lock."""
    mine, other = aliased(WebhookMessage), aliased(WebhookMessage)
    lane: BindParameter[str] = bindparam("in_lane")
    # What was put back before its first attempt is not due, and yet comes before whatever follows it.
    is_open = or_(_is_due(mine), and_(mine.state == "pending", mine.attempts == 0))
    first = select(mine.id).where(mine.lane == lane, is_open).order_by(mine.sequence).limit(1)
    in_flight = select(other.id).where(other.lane == lane, other.state == "delivering", other.next_attempt_at > clock())
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
        .returning(_MESSAGES, pauses.is_paused().label("is_paused"))
    )


_MESSAGES = Table.metadata.tables[WebhookMessage.__tablename__]
_CLAIM = _claim_statement()
_NOTE = insert(Table.metadata.tables[WebhookAttempt.__tablename__]).values(created_at=clock())


@dataclass(slots=True)
class Sender:
    """Delivers for every account."""

    settings: Settings
    database: Database
    client: Outbound
    id: str
    """In whose name messages are claimed: a sender that dies is known to by its sign of life."""
    _receivers: Receivers = field(default_factory=Receivers)
    _secrets: dict[str, tuple[float, list[str]]] = field(default_factory=dict)
    _lanes: list[str] = field(default_factory=list)
    """Those it works on."""

    async def deliver(self, queue: BellWorker, lane: str, *, is_news: bool = True) -> None:
        """Ends when nothing is due, or the lane is somebody else's or has to wait; then lanes that waited follow."""
        waited_for = self._receivers.waited_for(lane)
        following = self._receivers.next_lane(waited_for.account) if waited_for else (lane, is_news, None)
        while following:
            with self._working_on(following[0]):
                following = await self._work_off(*following)

    async def look_after_claims(self) -> None:
        """Makes due what it holds and does not work on: a database that crashes loses answers and last notes."""
        with suppress(SQLAlchemyError, OSError):
            async with self.database.single_statement(can_wait=True) as transaction:
                lapses_within = self._lapses.total_seconds() - _CLAIM_SETTLED_SECONDS
                await transaction.execute(claims.forgotten(self.id, self._lanes, lapses_within))

    @contextmanager
    def _working_on(self, lane: str) -> Iterator[None]:
        self._lanes.append(lane)
        try:
            yield
        finally:
            self._lanes.remove(lane)

    async def release(self) -> None:
        """Leaves to others what it was about to deliver when it was stopped; without a database they wait for it."""
        with suppress(SQLAlchemyError, OSError):
            async with asyncio.timeout(_RELEASE_SECONDS), self.database.transaction() as transaction:
                await transaction.execute(claims.released([self.id]))

    async def _work_off(
        self, lane: str, is_news: bool, waited_for: Receiver | None
    ) -> tuple[str, bool, Receiver] | None:
        """Send what is due; the answer is a lane that waited for the place which is free now."""
        receiver, has_turn = waited_for, waited_for is not None
        with receiver.place() if receiver else nullcontext():  # nobody overtakes it while it is claimed
            message = await self._claim_alone(lane, can_wait=not is_news)
        while message:
            receiver = self._receivers.of(message.account_id, message.host)
            if receiver.is_full or (receiver.is_waited_for and not has_turn):
                if not await self._put_back(message, receiver):
                    return None
                message = await self._claim_alone(lane, can_wait=True)
                continue
            with receiver.place():
                crash.at("before_post")
                outcome = await self._take_turn(message, receiver)
            crash.at("after_post")
            message = await persistently(partial(self._settle_and_claim, message, outcome))
            crash.at("after_note")
        return self._receivers.next_lane(receiver.account) if receiver else None

    async def _claim_alone(self, lane: str, *, can_wait: bool) -> Row[Any] | None:
        async with self.database.single_statement(can_wait=can_wait) as transaction:
            return await self._claim(transaction, lane)

    @property
    def _lapses(self) -> timedelta:
        """After a claim, which is so long before the moment when its message is due again."""
        return timedelta(seconds=self.settings.webhook_timeout_seconds + _CLAIM_MARGIN_SECONDS)

    async def _settle_and_claim(self, message: Row[Any], outcome: Outcome) -> Row[Any] | None:
        """Note what came of a message, and take the next one of its lane; receivers that fail hold up no others."""
        async with self.database.transaction(can_wait=not outcome.is_delivered) as transaction:
            await self._settle(transaction, message, outcome)
            return await self._claim(transaction, message.lane)

    async def _claim(self, transaction: Transaction, lane: str) -> Row[Any] | None:
        """Take the lane's first due message, unless another of the lane is in flight."""
        lapses = self._lapses.total_seconds()
        claimed = await transaction.execute(_CLAIM, {"in_lane": lane, "lapses": lapses, "by_sender": self.id})
        return claimed.one_or_none()

    async def _put_back(self, message: Row[Any], receiver: Receiver) -> bool:
        """As if it had not been claimed. True: go on at once; else when a place is free, or the lane comes again."""
        is_news = message.attempts == 1
        has_room = receiver.has_room_in_line(is_news=is_news)
        seconds = 0.0 if has_room else _COME_AGAIN_SECONDS * random.uniform(0.5, 1.5)
        again = {"state": "pending", "attempts": message.attempts - 1, "next_attempt_at": clock(seconds)}
        await persistently(partial(self._change, message, again))
        if not (receiver.is_full or receiver.is_waited_for):  # asked again: a place may have become free meanwhile
            return not seconds
        if not seconds:
            self._receivers.wait(message.lane, receiver, is_news=is_news)
        return False

    async def _change(self, message: Row[Any], changes: dict[str, Any]) -> None:
        async with self.database.single_statement(can_wait=True) as transaction:
            await transaction.execute(update(WebhookMessage).where(_is_mine(message)).values(**changes))

    async def _take_turn(self, message: Row[Any], receiver: Receiver) -> Outcome:
        """An attempt, unless the receiver is left alone for now; the last one is never left out."""
        heeds_pause = not (message.endpoint_id or message.replayed_after)  # an endpoint is disabled, and a replay meant
        if heeds_pause and message.is_paused:
            return paused()
        is_last = turn(message) >= turns(WebhookEvent.COMPLETED, self.settings.webhook_retries)
        if receiver.rest_seconds and not is_last:
            return held_back(receiver.rest_seconds)
        outcome = await self._attempt(message)
        if outcome.is_about_host:
            receiver.note(is_well=outcome.is_host_well)
        return outcome

    async def _attempt(self, message: Row[Any]) -> Outcome:
        timestamp = int((message.next_attempt_at - self._lapses).timestamp())  # a host's clock may be wrong
        secrets = await self._signing_secrets(message.account_id)
        headers = webhooks.headers(secrets, message.id, timestamp, message.body, user_agent=USER_AGENT)
        seconds = self.settings.webhook_timeout_seconds
        if message.event in _SNAPSHOTS:
            seconds = min(seconds, _SNAPSHOT_SECONDS)
        begin = perf_counter()
        try:
            answer = await self._post(message, headers, seconds)
        except Exception as error:  # whatever it is, the lane must go on and the attempt must count
            if not isinstance(error, OutboundError):
                _log.error("webhook attempt broke", message_id=message.id, exc_info=error)
            outcome = unanswered(error, round((perf_counter() - begin) * 1000))
        else:
            outcome = answered(answer)
        return replace(outcome, address=peers.last(), signed_by=tuple(map(webhooks.key_id, secrets)))

    async def _post(self, message: Row[Any], headers: dict[str, str], seconds: float) -> Answer:
        """Once more at once if the connection failed early: a receiver closes kept ones when it likes."""
        begin = perf_counter()
        try:
            return await post(self.client, message.url, message.body, headers, total=timedelta(seconds=seconds))
        except (ConnectFailed, ConnectionLost):
            left = seconds - (perf_counter() - begin)
            if left < seconds - _EARLY_SECONDS:
                raise
        return await post(self.client, message.url, message.body, headers, total=timedelta(seconds=left))

    async def _signing_secrets(self, account_id: str) -> list[str]:
        until, secrets = self._secrets.get(account_id, (0.0, []))
        if until < monotonic():
            secrets = await webhook_secrets.signing(self.database, account_id)
            self._secrets[account_id] = (monotonic() + _SECRET_CACHE_SECONDS, secrets)
        return secrets

    async def _settle(self, transaction: Transaction, message: Row[Any], outcome: Outcome) -> None:
        """Delivered, due again, or dead; ignored if the claim has lapsed and somebody else took the message."""
        changes: dict[str, Any] = {"last_answer": outcome.answer}
        seconds = pause(message, outcome, self.settings.webhook_retries)
        if outcome.is_delivered:
            changes["state"] = "delivered"
        elif seconds is None:
            changes |= {"state": "dead", "reason": reason(outcome, turn(message))}
            _log.warning("webhook given up", message_id=message.id, webhook_event=message.event, answer=outcome.answer)
        else:
            changes |= {"state": "pending", "next_attempt_at": clock(seconds)}
        await transaction.execute(_NOTE, _attempt_row(message, outcome))
        await transaction.execute(update(WebhookMessage).where(_is_mine(message)).values(**changes))
        if outcome.is_gone and message.endpoint_id:
            is_its = WebhookEndpoint.id == message.endpoint_id
            await transaction.execute(update(WebhookEndpoint).where(is_its).values(disabled_reason=reason(outcome, 1)))
        elif outcome.is_gone:
            await pauses.pause(transaction, message)
        elif outcome.is_delivered and message.is_paused:
            await pauses.resume(transaction, message)


def _is_mine(message: Row[Any]) -> ColumnElement[bool]:
    return and_(
        WebhookMessage.id == message.id,
        WebhookMessage.state == "delivering",
        WebhookMessage.attempts == message.attempts,
    )


def _attempt_row(message: Row[Any], outcome: Outcome) -> dict[str, Any]:
    told = {name: getattr(outcome, name) for name in _TOLD}
    return {"message_id": message.id, "number": message.attempts, "trigger": trigger(message), **told}
