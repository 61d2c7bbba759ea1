"""Job: look at a pushed version, and publish its schema or say why it cannot run.

The process that imported the predictor stays: it is the one that will serve.
"""

from dataclasses import dataclass

import structlog

from shared import catalog
from shared.database import Database
from shared.errors import UnsupportedSchema
from shared.input_schema import compile_schema
from worker.app import BellWorker
from worker.events import SetupFailed
from worker.residency import Residency

_log = structlog.get_logger()


@dataclass(slots=True)
class Builder:
    """Builds versions on this host."""

    database: Database
    residency: Residency

    async def build(self, queue: BellWorker, version_id: str, delivery: int) -> None:
        """Ends with the version ready or failed."""
        try:
            process = await self.residency.resident(version_id).process()
            compile_schema(process.schema)
        except (SetupFailed, UnsupportedSchema) as failure:
            _log.warning("version cannot be built", version_id=version_id, error=failure.message)
            logs = failure.logs if isinstance(failure, SetupFailed) else ""
            async with self.database.transaction() as transaction:
                await catalog.reject(transaction, version_id, failure.message, logs)
            return
        async with self.database.transaction() as transaction:
            await catalog.publish(transaction, version_id, process.schema, process.is_iterator, process.setup_logs)
