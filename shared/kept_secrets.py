"""What is secret in rows, and how each is kept there: in which place, and which part of it is encrypted.

How that is done stands in `vault`.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row

from shared.secret_inputs import changed
from shared.vault import Vault, is_encrypted


def webhook_place(account_id: str) -> str:
    """Of the secrets that sign an account's webhooks, the present one and the former."""
    return f"webhook secret of {account_id}"


def file_place(file_id: str) -> str:
    """Of the secret that signs a file's links."""
    return f"secret of file {file_id}"


def encrypted_input(vault: Vault, prediction_id: str, input: Mapping[str, Any], names: Collection[str] | None) -> Any:
    """An input as it is kept; `names` are those of the secret ones."""
    place = _input_place(prediction_id)
    return changed(input, names, lambda value: vault.encrypt(msgspec.json.encode(value).decode(), place))


def decrypted_input(vault: Vault, row: Row[Any]) -> Any:
    """The input of a prediction as it was given; raises SecretUnreadable."""
    place = _input_place(row.id)

    def decrypted(kept: Any) -> Any:
        return msgspec.json.decode(vault.decrypt(kept, place)) if is_encrypted(kept) else kept

    return changed(row.input, row.secret_inputs, decrypted)


def _input_place(prediction_id: str) -> str:
    return f"input of {prediction_id}"
