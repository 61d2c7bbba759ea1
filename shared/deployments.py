"""Deployments: made, changed by releases, taken away, and what they ask of the workers.

Running what is asked of one is the business of `lifecycle` and the worker. Only an owner sees a deployment.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from shared import lifecycle
from shared.catalog import NAME, hold
from shared.contract import TERMINAL
from shared.database import Database, Transaction, clock
from shared.errors import DeploymentInUse, InvalidRequest, NotFound, Problem
from shared.ids import new_id
from shared.live import DeploymentsChanged
from shared.tables import Account, Deployment, Prediction, Release

_QUIET_SECONDS = 15 * 60.0
"""As long must nothing have been asked of a deployment before it can be deleted, as on Replicate."""
_CANCELS_AT_ONCE = 100
IS_NEWEST = and_(Release.deployment_id == Deployment.id, Release.number == Deployment.release)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many processes of a version deployments want on one host. None allowed: no deployment asks for any."""

    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a release is to be; `model` is owner/name, and the version is one of its."""

    model: str
    version_id: str
    hardware: str
    min_instances: int
    max_instances: int

    def check(self) -> None:
        """Raises InvalidRequest."""
        if self.min_instances > self.max_instances:
            least = f"max_instances must not be less than min_instances, which is {self.min_instances}"
            raise InvalidRequest([Problem("number_gte", "max_instances", least)])


def owned(account_id: str) -> Select[Any]:
    """An account's deployments, each with its newest release and who made that."""
    of_release = [column for column in Release.__table__.c if column.name not in Deployment.__table__.c]
    creator = (
        Account.type.label("creator_type"),
        Account.username.label("creator_username"),
        Account.name.label("creator_name"),
    )
    query = select(*Deployment.__table__.c, *of_release, Release.created_at.label("released_at"), *creator)
    query = query.join(Release, IS_NEWEST).join(Account, Account.id == Release.created_by)
    return query.where(Deployment.account_id == account_id)


def _named(account_id: str, owner: str, name: str) -> Select[Any]:
    return owned(account_id).where(Deployment.owner == owner, Deployment.name == name)


async def find(database: Database, account_id: str, owner: str, name: str) -> Row[Any] | None:
    """One deployment of an account."""
    async with database.reading() as connection:
        found: Row[Any] | None = (await connection.execute(_named(account_id, owner, name))).one_or_none()
    return found


async def create(database: Database, account: Row[Any], name: str, wish: Wish) -> Row[Any]:
    """A deployment with its first release; raises InvalidRequest, or InvalidVersion if that was just deleted."""
    if not NAME.fullmatch(name):
        rule = "a deployment's name has up to 63 lower-case letters, digits, dots, dashes and underscores"
        raise InvalidRequest([Problem("pattern", "name", rule)])
    wish.check()
    row = {"id": new_id(), "account_id": account.id, "owner": account.username, "name": name, "release": 1}
    try:
        async with database.transaction() as transaction:
            await transaction.execute(insert(Deployment).values(**row, created_at=clock()))
            await _release(transaction, account, row["id"], 1, wish)
            return (await transaction.execute(_named(account.id, account.username, name))).one()
    except IntegrityError:
        problem = Problem("unique", "name", f"you have a deployment called {name}; change that, or take another name")
        raise InvalidRequest([problem]) from None


async def change(database: Database, account: Row[Any], found: Row[Any], changes: dict[str, Any]) -> Row[Any]:
    """A new release with changed fields of a Wish; where none differs all stays as it is. Raises as `create`.

    One that is stopped by it has its predictions canceled. NotFound if it was just deleted.
    """
    async with database.transaction() as transaction:
        row = await _held(transaction, found)
        now = Wish(row.model, row.version_id, row.hardware, row.min_instances, row.max_instances)
        wish = replace(now, **changes)
        wish.check()
        if wish == now:
            return row
        await transaction.execute(update(Deployment).where(Deployment.id == row.id).values(release=row.release + 1))
        await _release(transaction, account, row.id, row.release + 1, wish)
        changed = (await transaction.execute(_identified(found))).one()
    if not wish.max_instances:
        await _cancel_all(database, _full_name(row))
    return changed


async def _held(transaction: Transaction, found: Row[Any]) -> Row[Any]:
    """As it stands now, and stays until the transaction ends; raises NotFound."""
    # Alone: a lock on joined rows that was waited for would then ask for the release that was the newest before.
    await transaction.execute(select(Deployment.id).where(Deployment.id == found.id).with_for_update())
    row: Row[Any] | None = (await transaction.execute(_identified(found))).one_or_none()
    if row is None:
        raise NotFound
    return row


def _identified(found: Row[Any]) -> Select[Any]:
    return owned(found.account_id).where(Deployment.id == found.id)


async def _release(transaction: Transaction, account: Row[Any], deployment_id: str, number: int, wish: Wish) -> None:
    await hold(transaction, wish.version_id)
    row = {"deployment_id": deployment_id, "number": number, "created_by": account.id, **asdict(wish)}
    await transaction.execute(insert(Release).values(**row, created_at=clock()))
    transaction.outbox.append(DeploymentsChanged())


async def _cancel_all(database: Database, deployment: str) -> None:
    """In small transactions, since a backlog may be long and others want to write."""
    query = select(Prediction.id).where(_is_under_way(deployment)).order_by(Prediction.id).limit(_CANCELS_AT_ONCE)
    after = ""
    while True:
        async with database.transaction() as transaction:
            ids = (await transaction.execute(query.where(Prediction.id > after))).scalars().all()
            for prediction_id in ids:
                await lifecycle.cancel(transaction, prediction_id)
        if not ids:
            return
        after = ids[-1]


async def remove(database: Database, found: Row[Any]) -> None:
    """Take a deployment away with all its releases, if it is stopped and was quiet; NotFound or DeploymentInUse."""
    name = _full_name(found)
    is_recent = or_(Prediction.created_at > clock(-_QUIET_SECONDS), Prediction.completed_at > clock(-_QUIET_SECONDS))
    of_it = and_(Prediction.deployment == name, or_(is_recent, _is_under_way(name)))
    async with database.transaction() as transaction:
        if (await _held(transaction, found)).max_instances:
            raise DeploymentInUse("Stop the deployment first: set its min_instances and max_instances to 0.")
        if (await transaction.execute(select(Prediction.id).where(of_it).limit(1))).one_or_none():
            minutes = round(_QUIET_SECONDS / 60)
            raise DeploymentInUse(f"The deployment was used in the last {minutes} minutes. Try again later.")
        await transaction.execute(delete(Release).where(Release.deployment_id == found.id))
        await transaction.execute(delete(Deployment).where(Deployment.id == found.id))
        transaction.outbox.append(DeploymentsChanged())


def _is_under_way(deployment: str) -> ColumnElement[bool]:
    return and_(Prediction.deployment == deployment, Prediction.status.not_in(TERMINAL))


def _full_name(row: Row[Any]) -> str:
    return f"{row.owner}/{row.name}"


async def bounds(database: Database, skus: Collection[str]) -> dict[str, Bounds]:
    """What all deployments together want of a host with this hardware, by version; those that are stopped nothing."""
    query = select(Release.version_id, func.sum(Release.min_instances), func.sum(Release.max_instances))
    query = query.join(Deployment, IS_NEWEST).where(Release.max_instances > 0, Release.hardware.in_(skus))
    async with database.reading() as connection:
        rows = (await connection.execute(query.group_by(Release.version_id))).all()
    return {version_id: Bounds(int(least), int(most)) for version_id, least, most in rows}
