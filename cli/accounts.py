"""`pinion account` and `pinion token`: who may use this installation, and what speaks for whom.

Works on the database of the settings, as `migrate` does, and not over HTTP: no token can make another one.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from cli.database import on_database
from cli.failure import Failure
from cli.printing import say, show
from shared import accounts, tokens
from shared.contract import AccountType, Scope
from shared.database import Database

_DAY_SECONDS = 86_400.0
_DAYS_MAX = 36_500.0


def create_account(username: str, name: str, *, is_organization: bool) -> None:
    kind = AccountType.ORGANIZATION if is_organization else AccountType.USER
    on_database(lambda database: accounts.create(database, username, kind, name))
    say(f"Made the account {username}. Make a token for it: pinion token create {username}")


def list_accounts() -> None:
    found = on_database(accounts.list_all)
    lines = [(r.username, r.type, r.name, _most(r.predictions_max), _day(r.created_at)) for r in found]
    show(("USERNAME", "TYPE", "NAME", "LIMIT", "CREATED"), lines)


def show_aborted(username: str, *, is_shown: bool) -> None:
    on_database(lambda database: accounts.show_aborted(database, username, is_shown=is_shown))
    say(f"{username} sees new predictions that never began as {'aborted' if is_shown else 'canceled'}.")


def limit(username: str, predictions_max: int | None) -> None:
    on_database(lambda database: accounts.limit(database, username, predictions_max))
    what = "as many as PINION_ACCOUNT_PREDICTIONS_MAX says" if predictions_max is None else _most(predictions_max)
    say(f"Predictions of {username} that may wait and run at once: {what}.")


def count() -> int:
    """How many accounts there are; Failure where the database cannot be asked."""
    return on_database(accounts.count)


def create_token(username: str, name: str, scopes: Sequence[str] | None, days: float | None) -> None:
    """The token alone goes to stdout, for a program to read."""
    wanted = [_scope(scope) for scope in scopes] if scopes else tokens.ORDINARY_SCOPES
    if days is not None and not 0 < days <= _DAYS_MAX:
        raise Failure(f"A token can be valid for more than 0 and up to {_DAYS_MAX:g} days.")
    seconds = None if days is None else math.ceil(days * _DAY_SECONDS)

    async def create(database: Database) -> str:
        account = await _known(database, username)
        return await tokens.create(database, account.id, name, wanted, seconds)

    token = on_database(create)
    say(f"A token of {username} for {', '.join(wanted)}. It is not shown again:")
    print(token)


def list_tokens(username: str | None) -> None:
    async def find(database: Database) -> Sequence[Row[Any]]:
        if username:
            await _known(database, username)
        return await tokens.list_all(database, username)

    found = on_database(find)
    heads = ("ID", "ACCOUNT", "NAME", "ENDS IN", "SCOPES", "CREATED", "LAST USED", "EXPIRES")
    lines = [
        (
            tokens.short_id(row),
            row.username,
            row.name,
            row.ending,
            "all" if row.scopes is None else " ".join(row.scopes),
            _day(row.created_at),
            _minute(row.last_used_at),
            _minute(row.expires_at),
        )
        for row in found
    ]
    show(heads, lines)


def revoke_token(named: str) -> None:
    gone = on_database(lambda database: tokens.revoke(database, named))
    if gone is None:
        raise Failure("There is no such token: name it by its ID, as `pinion token list` shows it.")
    say(f"Took back the token {tokens.short_id(gone)} ({gone.name}, ends in {gone.ending}).")


async def _known(database: Database, username: str) -> Row[Any]:
    account = await accounts.find_by_username(database, username)
    if account is None:
        raise Failure(f"There is no account {username}: make it with `pinion account create {username}`.")
    return account


def _scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise Failure(f"{name} is no scope: there are {', '.join(Scope)}.") from None


def _most(predictions_max: int | None) -> str:
    return "-" if predictions_max is None else str(predictions_max or "none")


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "-"
