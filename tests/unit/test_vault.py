"""Secrets are readable with their key and in their place only, and keys can be changed."""

import base64
import stat
import threading
from pathlib import Path

import pytest

from shared.errors import KeyMissing, SettingsError, Tampered
from shared.settings import Settings
from shared.vault import Vault, is_encrypted, key_file, open_vault

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.mark.parametrize("secret", ["", "sesame", "schlüssel \0 🔑", "enc:", "x" * 100_000])
def test_a_secret_comes_back_as_it_went_in_and_cannot_be_seen(secret: str) -> None:
    vault = Vault([NEW])
    kept = vault.encrypt(secret, "here")
    assert is_encrypted(kept)
    assert vault.decrypt(kept, "here") == secret
    assert kept != vault.encrypt(secret, "here")
    assert len(secret) < 5 or secret not in kept


def test_what_a_webhook_secret_becomes_fits_its_column() -> None:
    assert len(Vault([NEW]).encrypt("whsec_" + "A" * 44, "account")) <= 128


def test_in_another_place_it_is_worth_nothing() -> None:
    vault = Vault([NEW])
    with pytest.raises(Tampered, match="there"):
        vault.decrypt(vault.encrypt("sesame", "here"), "there")


def test_a_letter_that_was_changed_is_noticed() -> None:
    vault = Vault([NEW])
    kept = vault.encrypt("sesame", "here")
    with pytest.raises(Tampered):
        vault.decrypt(kept[:-6] + ("A" if kept[-6] != "A" else "B") + kept[-5:], "here")


def test_the_newest_key_encrypts_and_all_of_them_decrypt() -> None:
    before = Vault([OLD]).encrypt("sesame", "here")
    both = Vault([NEW, OLD])
    assert both.decrypt(before, "here") == "sesame"
    assert Vault([NEW]).decrypt(both.encrypt("sesame", "here"), "here") == "sesame"
    with pytest.raises(KeyMissing, match=before.split(":")[1]):
        Vault([NEW]).decrypt(before, "here")


@pytest.mark.parametrize("kept", ["sesame", "whsec_AAAA", "enc:", "enc:12345678:", "enc:nothex!!:AAAA", "enc:1:2:3"])
def test_what_was_kept_before_secrets_were_encrypted_is_read_as_it_is(kept: str) -> None:
    assert Vault([NEW]).decrypt(kept, "here") == kept


def test_the_first_to_need_a_key_makes_one_that_only_its_user_can_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "new")
    kept = open_vault(settings).encrypt("sesame", "here")
    file = key_file(settings.home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in settings.home.iterdir()] == [file.name]
    assert open_vault(settings).decrypt(kept, "here") == "sesame"


def test_of_many_who_make_the_key_at_once_all_have_the_same(tmp_path: Path) -> None:
    prefixes: list[str] = []
    begin = threading.Barrier(16)

    def make() -> None:
        begin.wait()
        prefixes.append(open_vault(Settings(home=tmp_path)).prefix)

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prefixes) == 16
    assert len(set(prefixes)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_key_of_the_settings_needs_no_file(tmp_path: Path) -> None:
    keys = ",".join(base64.b64encode(key).decode() for key in (NEW, OLD))
    vault = open_vault(Settings(home=tmp_path, encryption_key=keys))
    assert vault.prefix == Vault([NEW]).prefix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "nonsense", base64.b64encode(b"short").decode()])
def test_a_broken_key_file_is_told_and_not_replaced(tmp_path: Path, content: str) -> None:
    key_file(tmp_path).write_text(content)
    with pytest.raises(SettingsError, match="backup"):
        open_vault(Settings(home=tmp_path))
    assert key_file(tmp_path).read_text() == content


def test_the_file_may_hold_earlier_keys_below_the_newest(tmp_path: Path) -> None:
    lines = [base64.b64encode(key).decode() for key in (NEW, OLD)]
    key_file(tmp_path).write_text("\n".join(lines) + "\n")
    vault = open_vault(Settings(home=tmp_path))
    assert vault.decrypt(Vault([OLD]).encrypt("sesame", "here"), "here") == "sesame"
    assert vault.prefix == Vault([NEW]).prefix
