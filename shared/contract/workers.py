"""Workers on the wire, and what they hold (ours, not Replicate's).

What is nobody's business but the owner's is None for others.
"""

from datetime import datetime

from pydantic import BaseModel

from shared.contract.vocabulary import Residence


class Holding(BaseModel):
    """A version with one worker (ours). `memory` is in bytes, by the worker's memories; `logs` only for its owner.

    `instances` are its processes, with what deployments want of them on this host; `pid` is that of one. `memory`,
    `running` and `concurrency` are sums.

    `logs` is the end of what its process printed outside predictions. `failures` are those in a row.
    """

    worker: str
    host: str
    model: str
    version: str
    state: Residence
    pid: int | None
    memory: dict[str, int]
    running: int
    concurrency: int
    instances: int
    min_instances: int | None
    max_instances: int | None
    last_used_at: datetime
    failures: int
    error: str | None
    retry_at: datetime | None
    logs: str | None


class MemoryUse(BaseModel):
    """A memory of a worker, `host` or a GPU: what models may take together, and what they take."""

    name: str
    budget_bytes: int
    taken_bytes: int


class Worker(BaseModel):
    """A prediction worker that is alive (ours)."""

    id: str
    host: str
    created_at: datetime
    last_seen_at: datetime
    memory: list[MemoryUse]
    models: list[Holding]


class WorkerList(BaseModel):
    """All of them; there are not many."""

    results: list[Worker]
