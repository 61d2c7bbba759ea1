"""Accounts and tokens: made and taken back by the command, on the database that the API reads."""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from api.callers import Callers
from shared import accounts, tokens
from shared.contract import AccountType, Scope
from shared.database import Database, clock
from shared.errors import Conflict
from shared.settings import Settings
from shared.tables import Account, Token
from tests import forks
from tests.database_fixtures import TOKEN, Command, Rows


async def status(client: httpx.AsyncClient, token: str, path: str = "/v1/account") -> int:
    return (await client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


async def test_an_account_is_made_gets_a_token_and_loses_it(pinion: Command, client: httpx.AsyncClient):
    made = await pinion("account", "create", "ada", "--name", "Ada L.", "--organization")
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    given = await pinion("token", "create", "ada", "--name", "laptop")
    token = given.stdout.strip()
    assert token.startswith("r8_")
    assert len(token) == 40
    shown = await client.get("/v1/account", headers={"Authorization": f"Token {token}"})
    assert shown.json() == {"type": "organization", "username": "ada", "name": "Ada L."}
    assert await status(client, token, "/v1/predictions") == 200

    unknown = await pinion("token", "list", "nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "There is no account nobody" in unknown.stderr
    listed = (await pinion("token", "list", "ada")).stdout
    assert token not in listed
    head, line = listed.splitlines()
    assert head.split()[:3] == ["ID", "ACCOUNT", "NAME"]
    token_id, account, name, ending, *rest = line.split()
    assert (account, name, ending) == ("ada", "laptop", token[-4:])
    scopes = [scope for scope in Scope if scope != "models:write"]
    assert rest[: len(scopes)] == scopes

    assert (await pinion("token", "revoke", token_id)).returncode == 0
    client._transport.app.state.services.callers._known.clear()  # type: ignore[attr-defined]
    assert await status(client, token) == 401
    again = await pinion("token", "revoke", token_id)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "no such token" in again.stderr


async def test_a_token_that_was_found_somewhere_is_taken_back_by_itself(
    pinion: Command, database: Database, rows: Rows
):
    await rows.add_token("r8_lost")
    await rows.add_token("r8_kept")
    assert (await pinion("token", "revoke", "r8_lost")).returncode == 0
    assert [row.digest for row in await tokens.list_all(database)] == [tokens.digest("r8_kept")]


async def test_accounts_are_listed_with_their_kind(pinion: Command, rows: Rows):
    await pinion("account", "create", "ada")
    head, first, second = (await pinion("account", "list")).stdout.splitlines()
    assert head.split() == ["USERNAME", "TYPE", "NAME", "LIMIT", "CREATED"]
    assert first.split()[:3] == ["pinion", "user", "Pinion"]
    assert second.split()[:3] == ["ada", "user", "ada"]


async def test_an_account_has_a_limit_of_its_own_until_it_is_taken_back(pinion: Command, rows: Rows):
    shown = []
    for number in (["20"], ["0"], []):
        done = await pinion("account", "limit", "pinion", *number)
        assert done.returncode == 0, done.stderr
        shown.append((await pinion("account", "list")).stdout.splitlines()[1].split()[3])
    assert shown == ["20", "none", "-"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("account", "create", "pinion"), "There is an account pinion already."),
        (("account", "create", "Ada!"), "lower-case letters"),
        (("account", "limit", "nobody", "3"), "There is no account nobody"),
        (("token", "create", "nobody"), "make it with `pinion account create nobody`"),
        (("token", "create", "pinion", "--scope", "everything"), "there are predictions:read, predictions:write"),
        (("token", "create", "pinion", "--days", "0"), "more than 0"),
        (("token", "create", "pinion", "--days", "nan"), "more than 0"),
    ],
)
async def test_what_cannot_be_made_is_one_sentence(pinion: Command, rows: Rows, arguments: tuple[str, ...], says: str):
    done = await pinion(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert says in done.stderr


async def test_a_database_without_tables_is_told_with_what_to_do(tmp_path: Path):
    given = {"PINION_HOME": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""}
    done = await forks.run(given, "cli", "account", "list")
    assert done.returncode == 1
    assert "bring it up to date with `pinion migrate`" in done.stderr
    assert done.stderr.count("\n") == 1


async def test_the_token_itself_is_nowhere_in_the_database(database: Database, rows: Rows):
    token = await tokens.create(database, rows.account_id, "test", [Scope.MODELS_READ])
    row = await rows.one(Token, Token.digest == tokens.digest(token))
    assert token not in repr(row)
    assert (row.scopes, row.ending) == (["models:read"], token[-4:])


async def test_a_token_is_valid_until_it_expires(client: httpx.AsyncClient, rows: Rows):
    await rows.add_token("r8_short", seconds=3600)
    assert await status(client, "r8_short") == 200
    row = await rows.one(Token, Token.digest == tokens.digest("r8_short"))
    assert abs(row.expires_at - row.created_at - timedelta(hours=1)) < timedelta(seconds=1)
    await rows.change(Token, Token.digest == row.digest, expires_at=clock(-1))
    client._transport.app.state.services.callers._known.clear()  # type: ignore[attr-defined]
    assert await status(client, "r8_short") == 401


async def test_the_use_of_a_token_is_noted_and_not_with_every_request(client: httpx.AsyncClient, rows: Rows):
    callers: Callers = client._transport.app.state.services.callers  # type: ignore[attr-defined]

    async def last_used():
        return (await rows.one(Token, Token.digest == tokens.digest(TOKEN))).last_used_at

    for _ in range(3):
        assert await status(client, TOKEN) == 200
    assert await last_used() is None
    await callers.note_uses()
    noted = await last_used()
    assert noted is not None
    await callers.note_uses()
    assert await last_used() == noted


async def test_the_first_account_keeps_its_token_and_gets_a_new_one_beside_it(settings: Settings, database: Database):
    async def tokens_after(token: str) -> list[tuple[str, list[str] | None]]:
        await accounts.ensure_default(Settings(**{**settings.model_dump(), "api_token": token}))
        return [(row.digest, row.scopes) for row in await tokens.list_all(database, "pinion")]

    first, second = (tokens.digest("r8_first"), None), (tokens.digest("r8_second"), None)
    assert await tokens_after("r8_first") == [first]
    assert await tokens_after("r8_first") == [first]
    assert await tokens_after("r8_second") == [first, second]


async def test_of_two_accounts_of_one_name_made_at_once_one_is_made(database: Database):
    made = await asyncio.gather(
        *(accounts.create(database, "ada", AccountType.USER, "Ada") for _ in range(4)), return_exceptions=True
    )
    async with database.reading() as connection:
        assert len((await connection.execute(select(Account.id))).all()) == 1
    assert [type(each) for each in made].count(Conflict) == 3
