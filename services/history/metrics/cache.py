"""The workflows in memory: how often one was asked for, and how often it had to be read."""

from collections.abc import Callable
from typing import Final, final

from services.history.metrics.names import SERVICE
from services.telemetry import BoundCounter, BoundHistogram, Counter, Gauge, Histogram

_ACCESS: Final = ("operation", "service_name", "cache_type", "namespace_id")
REQUESTS = Counter("cache_requests", _ACCESS, "Runs asked for")
MISSES = Counter("cache_miss", _ACCESS, "Those that were not in memory")
LATENCY = Histogram("cache_latency", _ACCESS, "How long those took to read")
SIZE = Gauge("cache_size", ("service_name", "cache_type"), "Workflows that memory is meant to hold")
USAGE = Gauge("cache_usage", ("service_name", "cache_type"), "Workflows it holds")
CACHE: Final = "mutablestate"


@final
class _Cells:
    __slots__ = ("latency", "misses", "requests")

    def __init__(self, namespace_id: str) -> None:
        labels = {
            "operation": "HistoryCacheGetOrCreate",
            "service_name": SERVICE,
            "cache_type": CACHE,
            "namespace_id": namespace_id,
        }
        self.requests: BoundCounter = REQUESTS.bind(**labels)
        self.misses: BoundCounter = MISSES.bind(**labels)
        self.latency: BoundHistogram = LATENCY.bind(**labels)


class CacheMetrics:
    """The cells of each namespace, by its id."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cells] = {}

    def watch(self, size: int, usage: Callable[[], int]) -> None:
        SIZE.bind(service_name=SERVICE, cache_type=CACHE).set(size)
        USAGE.bind(service_name=SERVICE, cache_type=CACHE).read(usage)

    def of(self, namespace_id: str) -> _Cells:
        found = self._cells.get(namespace_id)
        if found is None:
            found = self._cells[namespace_id] = _Cells(namespace_id)
        return found
