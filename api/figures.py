"""Figures for Prometheus: what the rows say of queues and webhooks, and what living workers told of their models.

Only what is under way is counted in the rows, over indexes that stay as small as the backlog; what has ended is
counted by the workers since they began.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Row, Select, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import workers
from api.dependencies import Services
from shared.catalog import models_of
from shared.contract import Kind, Status
from shared.database import clock
from shared.tables import GIVEN_UP, OPEN, Prediction, WebhookMessage

Counted = Select[str, int, datetime]
Groups = list[Row[str, int, datetime]]
"""A name, how many there are, and the oldest moment among them."""

_GIVEN_UP = select(func.count()).select_from(WebhookMessage).where(text(GIVEN_UP))
_VERSION_DIGITS = 12
_OF_VERSION = ("model", "version")
_OF_WORKER = ("worker", *_OF_VERSION)


async def read(wired: Services) -> list[Metric]:
    """All of them, as they are now."""
    alive = await workers.alive(wired)
    async with wired.database.reading() as connection:
        now = (await connection.execute(select(clock()))).scalar_one()
        waiting = await _groups(connection, _under_way(Status.STARTING))
        running = await _groups(connection, _under_way(Status.PROCESSING))
        trainings = await _groups(connection, _trainings())
        webhooks = await _groups(connection, _webhooks())
        given_up = (await connection.execute(_GIVEN_UP)).scalar_one()
    reports = {worker.id: worker.report or {} for worker in alive}
    names = await _names(wired, {row[0] for row in (*waiting, *running)} | _versions(reports.values()))
    return [
        *_queues(waiting, running, names, now),
        _trainings_under_way(trainings),
        *_webhook_backlog(webhooks, now),
        GaugeMetricFamily("pinion_webhooks_dead", "`completed` messages that were given up.", value=given_up),
        GaugeMetricFamily("pinion_workers", "Prediction workers that are alive.", value=len(alive)),
        *_memories(reports),
        *_models(reports, names),
        *_tallies(reports, names),
    ]


def _under_way(status: Status) -> Counted:
    query = select(Prediction.version_id, func.count(), func.min(Prediction.queued_at))
    is_meant = and_(Prediction.status == status, Prediction.kind == Kind.PREDICTION)
    return query.where(is_meant).group_by(Prediction.version_id)


def _trainings() -> Counted:
    query = select(Prediction.status, func.count(), func.min(Prediction.queued_at))
    # Each status by itself, because that is what the indexes are over.
    is_under_way = or_(Prediction.status == Status.STARTING, Prediction.status == Status.PROCESSING)
    return query.where(is_under_way, Prediction.kind == Kind.TRAINING).group_by(Prediction.status)


def _webhooks() -> Counted:
    state = WebhookMessage.state
    query = select(state, func.count(), func.min(WebhookMessage.next_attempt_at))
    return query.where(text(OPEN)).group_by(state)


async def _groups(connection: AsyncConnection, query: Counted) -> Groups:
    return list((await connection.execute(query)).all())


def _versions(reports: Iterable[dict[str, Any]]) -> set[str]:
    return {
        version_id
        for report in reports
        for version_id in (*(told["version"] for told in report.get("versions", [])), *report.get("tallies", {}))
    }


async def _names(wired: Services, ids: set[str]) -> dict[str, list[str]]:
    """The labels of versions: their model, and a short form of their id."""
    models = await models_of(wired.database, ids)
    return {version_id: [f"{row.owner}/{row.name}", version_id[:_VERSION_DIGITS]] for version_id, row in models.items()}


def _queues(waiting: Groups, running: Groups, names: dict[str, list[str]], now: datetime) -> Iterator[Metric]:
    depth = GaugeMetricFamily("pinion_queue_depth", "Predictions that wait to be run.", labels=_OF_VERSION)
    oldest = GaugeMetricFamily("pinion_queue_oldest_seconds", "How long the first has waited.", labels=_OF_VERSION)
    run = GaugeMetricFamily("pinion_predictions_running", "Predictions that are being run.", labels=_OF_VERSION)
    for version_id, size, since in waiting:
        depth.add_metric(names[version_id], size)
        oldest.add_metric(names[version_id], _seconds(now, since))
    for version_id, size, _ in running:
        run.add_metric(names[version_id], size)
    yield from (depth, oldest, run)


def _trainings_under_way(groups: Groups) -> Metric:
    trainings = GaugeMetricFamily("pinion_trainings", "Trainings that wait or run.", labels=["status"])
    for status, size, _ in groups:
        trainings.add_metric([status], size)
    return trainings


def _webhook_backlog(backlog: Groups, now: datetime) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("pinion_webhooks_waiting", "Webhook messages not yet delivered.", labels=["state"])
    overdue = GaugeMetricFamily("pinion_webhooks_overdue_seconds", "How late the first is.", labels=["state"])
    for state, size, due in backlog:
        waiting.add_metric([state], size)
        overdue.add_metric([state], _seconds(now, due))
    yield from (waiting, overdue)


def _memories(reports: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    labels = ("worker", "memory", "kind")
    memory = GaugeMetricFamily("pinion_worker_memory_bytes", "What models may take and what they take.", labels=labels)
    for worker_id, report in reports.items():
        for told in report.get("memory", []):
            memory.add_metric([worker_id, told["name"], "budget"], told["budget_bytes"])
            memory.add_metric([worker_id, told["name"], "taken"], told["taken_bytes"])
    yield memory


def _models(reports: dict[str, dict[str, Any]], names: dict[str, list[str]]) -> Iterator[Metric]:
    state = GaugeMetricFamily("pinion_model_state", "1 for the state it is in.", labels=(*_OF_WORKER, "state"))
    failures = GaugeMetricFamily("pinion_model_failures", "Failures in a row.", labels=_OF_WORKER)
    memory = GaugeMetricFamily("pinion_model_memory_bytes", "What it takes.", labels=(*_OF_WORKER, "memory"))
    figure = GaugeMetricFamily("pinion_model_figure", "What it tells of itself.", labels=(*_OF_WORKER, "figure"))
    for worker_id, report in reports.items():
        for told in report.get("versions", []):
            labels = [worker_id, *names.get(told["version"], ("", ""))]
            state.add_metric([*labels, told["state"]], 1)
            failures.add_metric(labels, told["failures"])
            for name, taken in told["memory"].items():
                memory.add_metric([*labels, name], taken)
            for name, value in told.get("figures", {}).items():  # workers of before this release say none
                figure.add_metric([*labels, name], value)
    yield from (state, failures, memory, figure)


def _tallies(reports: dict[str, dict[str, Any]], names: dict[str, list[str]]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "pinion_predictions_ended", "Predictions since the worker began.", labels=(*_OF_WORKER, "status")
    )
    seconds = CounterMetricFamily("pinion_predict_seconds", "Time spent in predict().", labels=_OF_WORKER)
    recorded = CounterMetricFamily(
        "pinion_recorded", "Sums of what models record as metrics.", labels=(*_OF_WORKER, "metric")
    )
    for worker_id, report in reports.items():
        for version_id, tally in report.get("tallies", {}).items():
            labels = [worker_id, *names.get(version_id, ("", ""))]
            seconds.add_metric(labels, tally["seconds"])
            for status, count in tally["ended"].items():
                ended.add_metric([*labels, status], count)
            for name, total in tally.get("recorded", {}).items():  # workers of before this release say none
                recorded.add_metric([*labels, name], total)
    yield from (ended, seconds, recorded)


def _seconds(now: datetime, since: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
