"""docs/operate/metrics.md from the code: `python -m tests.telemetry.document` writes it, a test compares it.

`LACKING` says of every family of the reference that is not here why; `reference.txt` has the families that were seen
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from re import fullmatch
from typing import Final

from services.telemetry import BYTES_BUCKETS, COUNT_BUCKETS, REGISTRY, Histogram

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "operate" / "metrics.md"
ROOMS: Final = (
    "services.frontend.metrics",
    "services.history.metrics",
    "services.matching.metrics",
    "services.persistence.measured",
    "services.rpc",
    "services.rpc.tls",
)
LACKING: Final = {  # a pattern of names -> the reason
    r"temporal_.*": "of the Go SDK inside the reference's worker; Perdure's worker runs on another SDK",
    r"tally_.*": "of the reference's metrics library",
    r"dd_.*": "of its deadlock detector: one event loop holds no locks",
    r"(pri|fair)_.*": "copies by the reference's several matchers: there is one here, under the plain name",
    r"(lock|semaphore|get_engine_for_shard)_.*|history_workflow_execution_cache_lock_hold_duration": (
        "shards have no lock, no semaphore and no lazily built engine here"
    ),
    r"memory_(frees|heapidle|heapreleased|mallocs|num_gc|pause_total_ns_last|stack)": "of Go's memory management",
    r"build_age": "a build carries no date",
    r"version_check_.*": "Perdure does not call home",
    r"(activity|child|request_cancel|signal|timer)_info_size|buffered_events_size|signal_request_id_.*": (
        "what is pending is not serialized as a whole at each transaction, so its size is not known"
    ),
    r"chasm_total_size|execution_state_size": "of the reference's own forms of state",
    r"event_blob_size|memo_size|header_size|search_attributes_size|activity_payload_size": (
        "payloads pass through unread; their limits are enforced without counting them"
    ),
    r"total_(activity|child_execution|request_cancel_external|signal_external|user_timer)_count": (
        "runs keep no totals of what is over"
    ),
    r"total_namespaces": "namespaces are listed, not counted",
    r"cache_(entry_age_on_get|entry_age_on_eviction|pinned_usage|ttl)": "the cache of workflows has no ages",
    r"history_event_notification_.*|new_timer_notifications": "waiters are woken directly, no queue lies between",
    r"task_latency_(load|queue|schedule)|task_processing_no_persistence_latency|task_rescheduler_pending_tasks": (
        "tasks go from the commit to their execution in memory: `task_latency` is what is left of those stages"
    ),
    r"pending_tasks|queue_.*|shardinfo_.*|.*_shardinfo_update|ack_level_update|task_batch_complete_counter": (
        "there are no queue readers and slices"
    ),
    r"operation": "the same as `service_requests`",
    r"service_latency_(nouserlatency|userlatency)": "the wait for a workflow's lock is not measured apart",
    r"service_(authorization_latency|dial_.*|grpc_conn_.*)": "authorization is not built; gRPC's core does not tell",
    r"http_service_requests|host_rps_limit|persistence_shard_rps": "not built: HTTP, rate limits of hosts and stores",
    r"namespace_registry_refresh_latency": "a read of namespaces counts as a store access",
    r"partition_.*|force_loaded_.*|forwarded|loaded_task_queue_family_count": "partitions are not scaled by load",
    r"worker_registry_.*": "workers are listed by the API, not counted",
    r"workflow_(query|task_query|update|context|cron|run_timeout|task_timeout)_.*|.*_update_message": "not counted yet",
    r"replication_.*": "clusters do not replicate yet",
    r"signal_external_workflow_execution_failures|lease_failures": "not counted yet",
}


def why_lacking(name: str) -> str | None:
    """Why a family of the reference's is not here; None when nobody has said."""
    return next((reason for pattern, reason in LACKING.items() if fullmatch(pattern, name)), None)


def reference() -> list[str]:
    """The families that the reference was seen to have."""
    return (Path(__file__).with_name("reference.txt")).read_text().split()


def page() -> str:
    """The whole page."""
    for room in ROOMS:
        import_module(room)
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterable[str]:
    yield "# Metrics"
    yield ""
    yield "Every service shows its metrics to Prometheus on `global.metrics.prometheus.listenAddress`, under the"
    yield "reference server's names, types, labels and buckets, so that dashboards and alerts made for it work."
    yield "As there, label values have an underscore for whatever is no letter, digit or underscore."
    yield "`global.metrics` also takes `prefix`, `tags` (labels for all) and `excludeTags`; the dynamic settings"
    yield "`metrics.breakdownByTaskQueue` and `metrics.breakdownByPartition` keep task queues out of the labels of"
    yield "matching. A service that shares its process with others shows the same process numbers as they do."
    yield ""
    yield "This page is made from the code by `python -m tests.telemetry.document`; a test compares the two."
    yield ""
    yield "|metric|type|labels|what it says|"
    yield "|-|-|-|-|"
    for name in sorted(REGISTRY.families):
        family = REGISTRY.families[name]
        kind = f"{family.kind}, {_unit(family)}" if isinstance(family, Histogram) else family.kind
        yield f"|{name}|{kind}|{', '.join(family.labels)}|{family.help.rstrip('.')}|"
    yield ""
    yield "## What the reference has besides"
    yield ""
    yield "|metrics|why they are not here|"
    yield "|-|-|"
    for pattern, reason in LACKING.items():
        shown = pattern.replace("|", "\\|")
        yield f"|`{shown}`|{reason}|"
    yield ""
    yield "## What differs"
    yield ""
    yield "- `mutable_state_size`, `execution_info_size` and `persisted_mutable_state_size` are the bytes that one"
    yield "  transaction wrote: pending activities, timers and children are stored apart and are not written anew."
    yield "- `task_requests` with the operation `TimerActiveTaskWake` are wakes that found nothing to do. One timer"
    yield "  stands for all deadlines of a run; a wake that did something counts as what it did."
    yield "- `cache_latency` is that of misses; a workflow in memory costs nothing."
    yield "- `memory_*`, `num_goroutines` and `go_version` tell of Python: resident memory, tasks, its version."


def _unit(family: Histogram) -> str:
    if family.bounds == BYTES_BUCKETS:
        return "bytes"
    return "a number" if family.bounds == COUNT_BUCKETS else "seconds"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
