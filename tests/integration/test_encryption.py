"""What is secret lies encrypted in the database, also what was there before; with another key nothing starts."""

import base64
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select

from shared import accounts, files, webhook_secrets
from shared.contract import AccountType
from shared.database import Database, clock
from shared.encryption import check, renew
from shared.errors import KeyMissing
from shared.ids import new_id
from shared.kept_secrets import decrypted_input
from shared.settings import Settings
from shared.tables import Account, File, Prediction
from shared.vault import Vault, is_encrypted
from tests import forks
from tests.api_in_process import serving
from tests.database_fixtures import ENCRYPTION_KEY, Backend, Command, Rows
from tests.host import Host, installed

ANOTHER_KEY = base64.b64encode(b"a" * 32).decode()


@asynccontextmanager
async def with_key(servers: Backend, database: Database, key: str):
    """The same database as a process sees it that has other keys."""
    opened = Database(servers.settings(encryption_key=key), database.redis)
    try:
        yield opened
    finally:
        await opened.close()


async def add_file(rows: Rows, secret: str) -> Any:
    usual = {"name": "a", "content_type": "text/plain", "size": 1, "sha256": "0", "md5": "0", "details": {}}
    values = {"id": new_id(), "account_id": rows.account_id, "secret": secret, **usual, "created_at": clock()}
    async with rows.database.transaction() as transaction:
        return (await transaction.execute(insert(File).values(**values).returning(File.__table__))).one()


async def everything(database: Database) -> str:
    """All that stands in the tables that hold secrets."""
    async with database.reading() as connection:
        kept = [(await connection.execute(select(table.__table__))).all() for table in (Account, File, Prediction)]
    return str(kept)


async def test_a_new_account_has_a_secret_that_its_row_does_not_show(database: Database) -> None:
    account_id = await accounts.create(database, "ada", AccountType.USER, "Ada")
    row = await accounts.find(database, account_id)
    [secret] = await webhook_secrets.signing(database, account_id)
    assert secret.startswith("whsec_")
    assert is_encrypted(row.webhook_secret)
    rotated = await webhook_secrets.rotate(database, account_id, 60)
    assert await webhook_secrets.signing(database, account_id) == [rotated, secret]
    assert not [each for each in (secret, rotated) if each in await everything(database)]


async def test_what_was_there_before_is_encrypted_once_and_means_the_same(database: Database, rows: Rows) -> None:
    file = await add_file(rows, "plain-file-secret")
    await rows.change(Account, Account.id == rows.account_id, former_webhook_secret="whsec_Zm9ybWVy")
    await rows.change(Account, Account.id == rows.account_id, former_secret_until=clock(60))
    before = await rows.waiting(input={"key": "?", "keys": ["?", "?"], "text": "hi"})
    given = {"key": "sesame", "keys": ["abracadabra", "alohomora"], "text": "hi"}
    is_it = Prediction.id == before.id
    await rows.change(Prediction, is_it, input=given, secret_inputs=["key", "keys"])
    link = files.signature(database.vault, file, "pinion", 2_000_000_000)
    assert await renew(database) == 3
    seen = await everything(database)
    secrets = ("sesame", "abracadabra", "alohomora", "plain-file-secret", rows.secret, "whsec_")
    assert not [secret for secret in secrets if secret in seen]
    assert await webhook_secrets.signing(database, rows.account_id) == [rows.secret, "whsec_Zm9ybWVy"]
    file = await rows.one(File, File.id == file.id)
    assert files.signature(database.vault, file, "pinion", 2_000_000_000) == link
    row = await rows.prediction(before.id)
    assert (decrypted_input(database.vault, row), row.input["text"]) == (given, "hi")


async def test_after_a_change_of_keys_the_former_is_needed_until_all_is_renewed(
    servers: Backend, database: Database, rows: Rows
) -> None:
    row = await rows.waiting(input={"key": "sesame"}, secret_inputs=("key",))
    await renew(database)
    async with with_key(servers, database, f"{ANOTHER_KEY},{ENCRYPTION_KEY}") as both:
        assert await webhook_secrets.signing(both, rows.account_id) == [rows.secret]
        await renew(both)
    async with with_key(servers, database, ANOTHER_KEY) as newest:
        assert await webhook_secrets.signing(newest, rows.account_id) == [rows.secret]
        assert decrypted_input(newest.vault, await rows.prediction(row.id)) == {"key": "sesame"}
    with pytest.raises(KeyMissing):
        await check(database)


async def test_a_secret_that_looks_encrypted_is_a_secret_like_any_other(database: Database, rows: Rows) -> None:
    sly = database.vault.encrypt("sesame", "input of somebody")
    row = await rows.waiting(input={"key": sly}, secret_inputs=("key",))
    assert sly not in str(row)
    assert decrypted_input(database.vault, row) == {"key": sly}


async def test_a_row_of_another_prediction_gives_no_secret_away(database: Database, rows: Rows) -> None:
    mine, yours = [await rows.waiting(input={"key": key}, secret_inputs=("key",)) for key in ("mine", "sesame")]
    await rows.change(Prediction, Prediction.id == mine.id, input=yours.input)
    with pytest.raises(Exception, match=mine.id):
        decrypted_input(database.vault, await rows.prediction(mine.id))


async def test_a_prediction_whose_secret_cannot_be_read_fails_and_says_which_key_is_missing(
    settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "echo")
    row = await rows.waiting(version_id=version_id, input={"text": "hi"}, secret_inputs=("text",))
    lost = Vault([b"l" * 32])
    await rows.change(Prediction, Prediction.id == row.id, input={"text": lost.encrypt('"hi"', f"input of {row.id}")})
    await host.predict(version_id, row.id)
    ended = await rows.prediction(row.id)
    assert ended.status == "failed"
    assert lost.prefix.split(":")[1] in ended.error
    assert "PINION_ENCRYPTION_KEY" in ended.error


async def test_with_another_key_neither_api_nor_worker_nor_migrate_starts(
    servers: Backend, settings: Settings, database: Database, rows: Rows, pinion: Command
) -> None:
    await renew(database)
    key_id = database.vault.prefix.split(":")[1]
    with pytest.raises(KeyMissing, match=key_id):
        async with serving(settings.model_copy(update={"encryption_key": None})):
            pass
    migrated = await pinion("migrate")
    assert migrated.returncode != 0
    assert f"key {key_id}, which is not here" in migrated.stderr
    given = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url, "PINION_HOME": str(settings.home)}
    worker = await forks.run(given, "worker", "deliver")
    assert worker.returncode == 1
    assert worker.stderr.strip().endswith("put encryption-key back into PINION_HOME.")


async def test_migrate_encrypts_what_it_finds(
    servers: Backend, database: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch, pinion: Command
) -> None:
    monkeypatch.setenv("PINION_ENCRYPTION_KEY", ENCRYPTION_KEY)
    migrated = await pinion("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert rows.secret not in await everything(database)
    assert await webhook_secrets.signing(database, rows.account_id) == [rows.secret]
