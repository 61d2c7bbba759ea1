"""The settings, or one sentence about the one that does not work; and the database's address as it may be shown.

What settings there are stands in `shared.settings`.
"""

import re
from typing import TYPE_CHECKING

from cli.failure import Failure

if TYPE_CHECKING:
    from shared.settings import Settings

_PASSWORD = re.compile(r":[^:/@]*@")


def load() -> "Settings":
    """Settings of the environment."""
    from pydantic import ValidationError

    from shared.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        # Never its value: it may hold a password.
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"PINION_{name.upper()}"
        raise Failure(f"{variable} does not work ({first['msg']}): see .env.example for what it takes.") from None


def shown_database(settings: "Settings") -> str:
    """Its address without the password."""
    return _PASSWORD.sub(":***@", settings.database_url)
