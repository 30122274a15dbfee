"""Worker processes with a time limit; one that dies loses its own task only."""

from bonescint.parallel.pool import (
    InProcess,
    Pool,
    WorkerDiedError,
    WorkerPool,
    WorkerProcess,
    available_cores,
    in_order,
    map_in_processes,
    pool_of,
    usual_workers,
)
from bonescint.parallel.worker import UnexpectedError

__all__ = [
    "InProcess",
    "Pool",
    "UnexpectedError",
    "WorkerDiedError",
    "WorkerPool",
    "WorkerProcess",
    "available_cores",
    "in_order",
    "map_in_processes",
    "pool_of",
    "usual_workers",
]
