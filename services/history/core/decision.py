"""What goes into a decision besides the state, and what comes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.api.update.v1 import Outcome

from services.history.core.apply import Item
from services.history.core.rejection import Rejection
from services.history.core.run import Run
from services.protos.run_pb2 import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on one run, as the dynamic config has them for the namespace (limits_errors.md section 1)."""

    blob_bytes_max: int = 2 * 1024 * 1024
    memo_bytes_max: int = 2 * 1024 * 1024
    id_length_max: int = 1000
    history_events_max: int = 51200
    history_events_suggest: int = 4096
    history_bytes_max: int = 50 * 1024 * 1024
    history_bytes_suggest: int = 4 * 1024 * 1024
    state_bytes_max: int = 8 * 1024 * 1024
    transaction_bytes_max: int = 4 * 1024 * 1024
    activities_pending_max: int = 2000
    children_pending_max: int = 2000
    external_signals_pending_max: int = 2000
    external_cancels_pending_max: int = 2000
    signals_max: int = 10000
    buffered_events_max: int = 100
    buffered_bytes_max: int = 2 * 1024 * 1024
    updates_in_flight_max: int = 10
    updates_bytes_max: int = 20 * 1024 * 1024
    updates_max: int = 2000
    activity_failure_bytes_max: int = 4 * 1024
    task_timeout_default_ns: int = 10_000_000_000
    task_timeout_max_ns: int = 120_000_000_000
    task_heartbeat_max_ns: int = 30 * 60_000_000_000
    task_retry_interval_max_ns: int = 10 * 60_000_000_000
    task_problems_reported_from: int = 5  # attempts of a workflow task; 0: never
    callbacks_max: int = 2000
    callback_retry_initial_ns: int = 1_000_000_000
    callback_retry_interval_max_ns: int = 3600_000_000_000
    activity_retry_initial_ns: int = 1_000_000_000
    activity_retry_coefficient: float = 2.0
    activity_retry_maximum_multiple: int = 100
    retention_jitter_ns: int = 0
    run_age_min_ns: int = 1_000_000_000  # a younger run that continues as new has the next one wait


def _accept(_: object) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Time, ids and settings: a decision invents none of them."""

    now_ns: int
    new_run_id: str = ""  # for a run that may follow this one
    request_id: str = ""  # for a poll that starts a task within this decision
    jitter: float = 0.0  # in [0, 1)
    retention_ns: int = 0
    cron_backoff_ns: int | None = None  # until the next slot of the run's cron schedule; None: there is none to come
    started: WorkflowExecutionStartedEventAttributes | None = None  # of this run, for a run that may follow it
    limits: Limits = field(default_factory=Limits)
    refuse_search_attributes: Callable[[SearchAttributes], tuple[str, bool] | None] = _accept  # why, and if by size
    why_invalid_cron: Callable[[str], str | None] = _accept


@dataclass(frozen=True, slots=True)
class Batch:
    """Serialized events with contiguous ids that were written together."""

    first_event_id: int
    next_event_id: int
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one input did. `batches`, `changes`, `tasks` and `successor` become true by one fenced write of `run`.

    Not `durable`: the new state is only for memory (a started workflow task, an admitted update); nothing is written.
    """

    run: Run
    durable: bool
    batches: tuple[Batch, ...] = ()
    changes: frozenset[tuple[Item, int | str]] = frozenset()
    tasks: tuple[Task, ...] = ()
    successor: "Decision | None" = None
    refused: Rejection | None = None  # the input was too much for the run: it was ended instead
    outcomes: Mapping[str, Outcome | None] = field(default_factory=dict)  # answered updates; None: accepted so far
    updates_failed: bool = False  # those that were not accepted before: the worker's answer was refused
