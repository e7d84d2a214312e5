"""What history counts, under the reference server's names: its runs, what workers did, its outbox and its shards."""

from collections.abc import Callable

from services.history.metrics.cache import CacheMetrics
from services.history.metrics.outbox import OutboxMetrics, operation_of, traced, woken
from services.history.metrics.runs import RunMetrics
from services.history.metrics.shards import ShardMetrics
from services.history.metrics.workers import WorkerMetrics

__all__ = [
    "HistoryMetrics",
    "OutboxMetrics",
    "RunMetrics",
    "ShardMetrics",
    "WorkerMetrics",
    "operation_of",
    "traced",
    "woken",
]


class HistoryMetrics:
    """One host's. `name_of` knows the name of a namespace id, "" when there is none."""

    def __init__(self, name_of: Callable[[str], str]) -> None:
        self.runs = RunMetrics(name_of)
        self.workers = WorkerMetrics(name_of)
        self.outbox = OutboxMetrics(name_of)
        self.cache = CacheMetrics()
