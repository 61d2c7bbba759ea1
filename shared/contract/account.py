"""Whose token it is.

Nothing of how tokens or secrets are kept.
"""

from pydantic import BaseModel

from shared.contract.vocabulary import AccountType


class Account(BaseModel):
    """Whose token it is."""

    type: AccountType
    username: str
    name: str
    github_url: str | None = None
    avatar_url: str | None = None
