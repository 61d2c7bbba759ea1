"""The secrets that sign an account's webhooks: the newest, and for a while the one before it.

How a signature is made stands in `webhooks`.
"""

from sqlalchemy import case, or_, select, update

from shared.database import Database, clock
from shared.errors import Conflict
from shared.kept_secrets import webhook_place
from shared.rendering import moment
from shared.tables import Account
from shared.webhooks import new_secret

_FORMER = case((Account.former_secret_until > clock(), Account.former_webhook_secret))


async def signing(database: Database, account_id: str) -> list[str]:
    """What signs now, newest first; raises SecretUnreadable."""
    query = select(Account.webhook_secret, _FORMER).where(Account.id == account_id)
    async with database.reading() as connection:
        kept = (await connection.execute(query)).one()
    return [database.vault.decrypt(secret, webhook_place(account_id)) for secret in kept if secret]


async def rotate(database: Database, account_id: str, overlap_seconds: float) -> str:
    """A new secret; the present one signs too for so long. Raises Conflict while there are two already.

    With no overlap the present one and any before it are worth nothing at once.
    """
    secret = new_secret()
    kept = database.vault.encrypt(secret, webhook_place(account_id))
    is_alone = or_(Account.former_secret_until.is_(None), Account.former_secret_until < clock())
    change = update(Account).where(Account.id == account_id)
    if overlap_seconds:
        change = change.where(is_alone).values(
            former_webhook_secret=Account.webhook_secret, former_secret_until=clock(overlap_seconds)
        )
    else:
        change = change.values(former_webhook_secret=None, former_secret_until=None)
    async with database.single_statement() as transaction:
        is_changed = (await transaction.execute(change.values(webhook_secret=kept))).rowcount
    if not is_changed:
        raise Conflict(await _until(database, account_id))
    return secret


async def _until(database: Database, account_id: str) -> str:
    query = select(Account.former_secret_until).where(Account.id == account_id)
    async with database.reading() as connection:
        until = (await connection.execute(query)).scalar_one()
    advice = "Rotate again after that, or with overlap_seconds 0, which ends both at once."
    return f"Two secrets sign already, until {moment(until) if until else 'now'}. {advice}"
