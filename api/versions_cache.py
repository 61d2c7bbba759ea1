"""What can be run, ready to check an input against: versions never change, so their schemas are compiled once.

Which version is a model's newest is asked of the database every time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from api.dependencies import Services
from shared import catalog
from shared.input_schema import InputSchema, compile_schema

_LIMIT = 1000
_known: OrderedDict[str, "Runnable"] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Runnable:
    """A ready version of a model."""

    version_id: str
    model: str
    is_iterator: bool
    inputs: InputSchema


async def find_runnable(services: Services, reference: str) -> Runnable | None:
    """What `reference` names: 64 hex digits, `owner/name` or `owner/name:version`."""
    if reference in _known:
        _known.move_to_end(reference)
        return _known[reference]
    row = await catalog.runnable(services.database, reference)
    return _remember(row) if row else None


def _remember(row: Row[Any]) -> Runnable:
    if row.id not in _known:
        schema = compile_schema(row.openapi_schema)
        _known[row.id] = Runnable(row.id, f"{row.owner}/{row.name}", row.is_iterator, schema)
        if len(_known) > _LIMIT:
            _known.popitem(last=False)
    return _known[row.id]
