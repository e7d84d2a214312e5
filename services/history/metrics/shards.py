"""Shards: held, taken and let go."""

from typing import Final

from services.history.metrics.names import SERVICE
from services.telemetry import Counter, Gauge, Histogram

_SHARD: Final = ("operation", "service_name")
HELD = Gauge("numshards_gauge", _SHARD, "Shards this host holds")
CREATED = Counter("sharditem_created_count", _SHARD, "Shards acquired")
REMOVED = Counter("sharditem_removed_count", _SHARD, "Shards let go")
CLOSED = Counter("shard_closed_count", _SHARD, "Shards let go because the store refused the fence")
ACQUISITION = Histogram("sharditem_acquisition_latency", _SHARD, "From the wish to hold a shard to holding it")
ACQUIRE_ROUNDS = Counter("acquire_shards_count", _SHARD, "Times that shards were to be acquired")
ACQUIRE_LATENCY = Histogram("acquire_shards_latency", _SHARD, "Until all of them were held")
MEMBERSHIP_CHANGES = Counter("membership_changed_count", _SHARD, "Changes of the ring of history hosts")


class ShardMetrics:
    """The cells of this host."""

    def __init__(self) -> None:
        controller = {"operation": "ShardController", "service_name": SERVICE}
        self.held = HELD.bind(**controller)
        self.created, self.removed = CREATED.bind(**controller), REMOVED.bind(**controller)
        self.closed = CLOSED.bind(**controller)
        self.rounds, self.round_latency = ACQUIRE_ROUNDS.bind(**controller), ACQUIRE_LATENCY.bind(**controller)
        self.membership_changes = MEMBERSHIP_CHANGES.bind(**controller)
        self.acquisition = ACQUISITION.bind(operation="ShardInfo", service_name=SERVICE)
