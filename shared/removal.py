"""Removing versions and models: what has to be so before, and what follows from it.

A row stays for the predictions that name it, marked as removed. Its files are deleted later, by the worker.
"""

from typing import Any

from sqlalchemy import Row, and_, delete, func, select, update

from shared import deployments, examples
from shared.catalog import lock_model_of
from shared.contract import TERMINAL, VersionStatus, Visibility
from shared.database import Database, Transaction, clock
from shared.errors import NotFound, StillNeeded
from shared.settings import Settings
from shared.tables import CollectedModel, Deployment, Model, Prediction, Release, Version
from shared.trainings import IS_TRAINING

_PUBLIC = "The model is public, and others may rely on it. Make it private first: PATCH it with visibility `private`."


async def remove_version(database: Database, settings: Settings, model: Row[Any], version_id: str) -> None:
    """From now on it can neither be seen nor run. Raises NotFound, or StillNeeded with the reason."""
    async with database.transaction() as transaction:
        await lock_model_of(transaction, version_id)
        stays = (Version.id == version_id, Version.model_id == model.id, Version.status != VersionStatus.REMOVED)
        if (await transaction.execute(select(Version.id).where(*stays))).one_or_none() is None:
            raise NotFound
        if reason := await _why_version_stays(transaction, model, version_id):
            raise StillNeeded(reason)
        removed = {"status": VersionStatus.REMOVED, "removed_at": clock()}
        await transaction.execute(update(Version).where(*stays).values(**removed))
        of_version = (Prediction.model == f"{model.owner}/{model.name}", Prediction.version_id == version_id)
        await examples.hide(transaction, settings, *of_version)
        await transaction.execute(update(Model).where(Model.id == model.id).values(latest_version_id=_newest(model)))


async def remove_model(database: Database, model: Row[Any]) -> None:
    """Give up its name, and its place in collections. Raises NotFound, or StillNeeded with the reason."""
    is_model = and_(Model.id == model.id, Model.removed_at.is_(None))
    async with database.transaction() as transaction:
        locked = select(Model.__table__).where(is_model).with_for_update()
        fresh = (await transaction.execute(locked)).one_or_none()
        if fresh is None:
            raise NotFound
        if reason := await _why_model_stays(transaction, fresh):
            raise StillNeeded(reason)
        removed = {"status": VersionStatus.REMOVED, "removed_at": clock()}
        is_failed = and_(Version.model_id == model.id, Version.status == VersionStatus.FAILED)
        await transaction.execute(update(Version).where(is_failed).values(**removed))
        await transaction.execute(delete(CollectedModel).where(CollectedModel.model_id == model.id))
        await transaction.execute(update(Model).where(is_model).values(removed_at=clock()))


async def _why_version_stays(transaction: Transaction, model: Row[Any], version_id: str) -> str | None:
    """Whatever else comes to need versions says so here."""
    is_public = select(Model.id).where(Model.id == model.id, Model.visibility == Visibility.PUBLIC)
    if (await transaction.execute(is_public)).one_or_none():
        return _PUBLIC
    of_version = (Prediction.model == f"{model.owner}/{model.name}", Prediction.version_id == version_id)
    foreign = select(Prediction.id).where(*of_version, Prediction.account_id != model.account_id).limit(1)
    if (await transaction.execute(foreign)).one_or_none():
        return "Another account has run this version, and its predictions rely on it."
    deployed = select(Deployment.name, Deployment.account_id).join(Release, deployments.IS_NEWEST)
    found = (await transaction.execute(deployed.where(Release.version_id == version_id).limit(1))).one_or_none()
    if found and found.account_id != model.account_id:
        return "A deployment of another account runs this version."
    if found:
        return f"The deployment {found.name} runs this version. Let it run another one, or delete it first."
    goes_on = (Prediction.version_id == version_id, Prediction.status.not_in(TERMINAL))
    training = select(Prediction.id).where(IS_TRAINING, Prediction.account_id == model.account_id, *goes_on).limit(1)
    if training_id := (await transaction.execute(training)).scalar_one_or_none():
        return f"The training {training_id} is based on this version. Cancel it, or wait until it has ended."
    return None


async def _why_model_stays(transaction: Transaction, model: Row[Any]) -> str | None:
    """A version that failed is none that anybody could rely on."""
    if model.visibility == Visibility.PUBLIC:
        return _PUBLIC
    alive = Version.status.in_((VersionStatus.BUILDING, VersionStatus.READY))
    query = select(func.count()).select_from(Version).where(Version.model_id == model.id, alive)
    if count := (await transaction.execute(query)).scalar_one():
        return f"The model has {count} version{'s' * (count > 1)}. Delete every version first."
    return None


def _newest(model: Row[Any]) -> Any:
    """The version pushed last of those that can be run."""
    is_ready = and_(Version.model_id == model.id, Version.status == VersionStatus.READY)
    return select(Version.id).where(is_ready).order_by(Version.queued_at.desc()).limit(1).scalar_subquery()
