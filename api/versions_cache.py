"""What can be run, ready to check an input against: versions never change, so their schemas are compiled once.

Which version is a model's newest, and whether others than its owner may run it, is asked of the database every time;
whether a version is still there, every few seconds.
"""

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sqlalchemy import Row

from api.dependencies import Services
from api.file_addresses import complaint
from shared import catalog
from shared.input_schema import InputSchema, compile_schema

_LIMIT = 1000
_BELIEVED_SECONDS = 5
"""A version that was deleted can be run this much longer at most, by its id and by its owner; its files stay longer."""
_known: OrderedDict[str, "Runnable"] = OrderedDict()
_believed_until: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Runnable:
    """A ready version of a model."""

    version_id: str
    account_id: str
    """Whose model it is."""
    model: str
    is_iterator: bool
    yields_files: bool
    """And nothing else."""
    inputs: InputSchema


async def find_runnable(services: Services, account_id: str, reference: str) -> Runnable | None:
    """What an account means by `reference`: 64 hex digits, `owner/name` or `owner/name:version`."""
    known = _known.get(reference)
    if known and known.account_id == account_id and _believed_until[reference] > monotonic():
        _known.move_to_end(reference)
        return known
    row = await catalog.runnable(services.database, account_id, reference)
    return _remember(services, row) if row else None


def _remember(services: Services, row: Row[Any]) -> Runnable:
    if row.id not in _known:
        schema = compile_schema(row.openapi_schema, complain=complaint(services.settings.file_allow_cidrs))
        outputs = (row.is_iterator, _yields_files(row))
        _known[row.id] = Runnable(row.id, row.account_id, f"{row.owner}/{row.name}", *outputs, schema)
        if len(_known) > _LIMIT:
            del _believed_until[_known.popitem(last=False)[0]]
    _believed_until[row.id] = monotonic() + _BELIEVED_SECONDS
    return _known[row.id]


def _yields_files(row: Row[Any]) -> bool:
    output = row.openapi_schema["components"]["schemas"].get("Output", {})
    return bool(row.is_iterator) and output.get("items", {}).get("format") == "uri"
