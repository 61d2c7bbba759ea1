"""What a setting may be: what cannot work stops the start with a sentence that says what would.

No service is started.
"""

import pytest

from cli import configuration
from cli.failure import Failure
from shared.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PINION_PUBLIC_URL", "nonsense", "https://pinion.example.com"),
        ("PINION_PUBLIC_URL", "ftp://a.example", "https://pinion.example.com"),
        ("PINION_PUBLIC_URL", "https://", "https://pinion.example.com"),
        ("PINION_PUBLIC_URL", "https://a.example/?a=b", "https://pinion.example.com"),
        ("PINION_API_TOKEN", "two words", "letters, digits"),
        ("PINION_API_TOKEN", "it's", "letters, digits"),
        ("PINION_API_TOKEN", 'say "please"', "letters, digits"),
        ("PINION_API_TOKEN", "schlüssel", "letters, digits"),
        ("DATABASE_URL", "mysql://user:secret@host/name", "postgresql://user:password@host/name"),
        ("DATABASE_URL", "pinion.db", "sqlite:////path/to/file"),
        ("PINION_ENCRYPTION_KEY", "secret", "openssl rand -base64 32"),
        ("PINION_ENCRYPTION_KEY", "c2VjcmV0", "openssl rand -base64 32"),
        ("PINION_PORT", "http", "integer"),
    ],
)
def test_a_value_that_cannot_work_is_told_with_what_would(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Failure) as failure:
        configuration.load()
    assert str(failure.value).startswith(f"{variable} does not work")
    assert says in str(failure.value)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://a@b/c", "postgresql+asyncpg://a@b/c"),
        ("postgresql://a@b/c", "postgresql+asyncpg://a@b/c"),
        ("postgresql+psycopg://a@b/c", "postgresql+asyncpg://a@b/c"),
        ("sqlite:////x/y.db", "sqlite+aiosqlite:////x/y.db"),
    ],
)
def test_a_database_is_named_as_it_names_itself(given: str, used: str) -> None:
    assert Settings(database_url=given).database_url == used


def test_the_slash_at_the_end_of_an_address_does_no_harm() -> None:
    assert Settings(public_url="https://a.example/pinion/").address == "https://a.example/pinion"
