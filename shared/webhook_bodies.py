"""The body of a webhook message: a prediction as it is shown everywhere, but never larger than receivers can take.

Who is owed one stands in `owed`.
"""

from typing import Any

import msgspec
from sqlalchemy import Row

from shared import rendering

BYTES_MAX = 5 << 20
_LOGS_KEPT_CHARACTERS = 64 << 10
_LEFT_OUT: dict[str, Any] = {"output": None, "input": {}}
_NOTE = "[… too large for a webhook, so it has only the end of the logs{}; all of it: {} …]\n"


def body(row: Row[Any], address: str) -> bytes:
    """Of one that is too large the logs are cut, then its output is left out, then its input; the logs say so."""
    told = rendering.prediction(row, address)
    encoded = msgspec.json.encode(told)
    if len(encoded) <= BYTES_MAX:
        return encoded
    logs = told["logs"][-_LOGS_KEPT_CHARACTERS:]
    without: dict[str, Any] = {}
    for more in ({}, *({name: value} for name, value in _LEFT_OUT.items() if told.get(name))):
        without |= more
        note = _NOTE.format("".join(f" and no {name}" for name in without), told["urls"]["get"])
        encoded = msgspec.json.encode({**told, **without, "logs": note + logs})
        if len(encoded) <= BYTES_MAX:
            break
    return encoded
