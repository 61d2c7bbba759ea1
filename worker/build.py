"""Job: look at a pushed version, build its environment, and publish its schema or say why it cannot run.

The process that imported the predictor stays: it is the one that will serve.
"""

import asyncio
from dataclasses import dataclass

import structlog

from shared import catalog
from shared.database import Database
from shared.errors import UnsupportedSchema
from shared.input_schema import check_schema
from worker.app import BellWorker
from worker.build_log import BuildLog
from worker.events import SetupFailed
from worker.manifest import read_manifest
from worker.process import ModelProcess
from worker.remarks import remarks_on
from worker.residency import Residency
from worker.resident import Resident

_log = structlog.get_logger()


@dataclass(slots=True)
class Builder:
    """Builds versions on this host."""

    database: Database
    residency: Residency

    async def build(self, queue: BellWorker, version_id: str, delivery: int) -> None:
        """Ends with the version ready or failed."""
        log = BuildLog(self.database, version_id)
        try:
            async with log.shown():
                process = await _bring_up(self.residency.resident(version_id), log)
        except (SetupFailed, UnsupportedSchema) as failure:
            _log.warning("version cannot be built", version_id=version_id, error=failure.message)
            log.complete(failure.logs if isinstance(failure, SetupFailed) else "")
            async with self.database.transaction() as transaction:
                await catalog.reject(transaction, version_id, failure.message, log.text)
            return
        log.complete(process.setup_logs)
        async with self.database.transaction() as transaction:
            await catalog.publish(transaction, version_id, process.schema, process.is_iterator, log.text)


async def _bring_up(resident: Resident, log: BuildLog) -> ModelProcess:
    """The process of a version whose schema can be served; raises SetupFailed or UnsupportedSchema."""
    manifest = await asyncio.to_thread(read_manifest, resident.folder)
    for remark in (*manifest.remarks, *await remarks_on(manifest.build)):
        log.say(f"{remark}\n")
    resident.failures.forget()  # whoever pushes again wants it tried now
    process = await resident.process(log.say)
    check_schema(process.schema)
    return process
