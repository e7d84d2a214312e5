"""A store as telemetry shows it: every access counted, timed and traced by the reference server's names for it.

store = measured(await open_store(...), clock, ("frontend", "history"))
name_namespaces(store, registry.name_of)  # once there is a registry
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, final

from services.persistence.interface import (
    Commit,
    Outcome,
    QueueKey,
    Store,
    StoreError,
    UnknownOutcome,
    VisibilityRecord,
)
from services.runtime import Clock
from services.telemetry import UNKNOWN_NAMESPACE, BoundCounter, BoundHistogram, Counter, Histogram, tracer

LABELS: Final = ("operation", "namespace", "service_name")
REQUESTS = Counter("persistence_requests", LABELS, "Accesses to the store.")
ERRORS = Counter("persistence_errors", LABELS, "Those that the store could not do.")
ERROR_WITH_TYPE = Counter("persistence_error_with_type", (*LABELS, "error_type"), "Failed, refused and fruitless ones.")
LATENCY = Histogram("persistence_latency", LABELS, "How long they took.")

LISTS: Final = ("operation", "service_name", "visibility_plugin_name", "visibility_index_name")
LIST_REQUESTS = Counter("visibility_persistence_requests", LISTS, "Accesses to what lists read.")
LIST_ERRORS = Counter("visibility_persistence_errors", LISTS, "Those that failed.")
LIST_ERROR_WITH_TYPE = Counter("visibility_persistence_error_with_type", (*LISTS, "error_type"), "The same, by error.")
LIST_LATENCY = Histogram("visibility_persistence_latency", LISTS, "How long they took.")

SYSTEM: Final = "system"  # the namespace label of what concerns no single one
NOT_FOUND: Final = "serviceerror_NotFound"
REFUSED: Final = {
    Outcome.FENCED: "persistence_ShardOwnershipLostError",
    Outcome.CURRENT_CONFLICT: "persistence_CurrentWorkflowConditionFailedError",
    Outcome.RUN_CONFLICT: "persistence_WorkflowConditionFailedError",
}
LEASE_LOST: Final = "persistence_ConditionFailedError"

Interface = Literal["ShardStore", "ExecutionStore", "TaskStore", "MetadataStore", "ClusterMetadataStore", "Visibility"]
About = Callable[..., str]  # from a method's arguments to the id of the namespace it concerns


def _nobody(*_: Any, **__: Any) -> str:
    return ""


def _second(_first: Any, namespace_id: str, *_: Any) -> str:
    return namespace_id


def _third(_first: Any, _second: Any, namespace_id: str, *_: Any) -> str:
    return namespace_id


def _of_key(key: QueueKey, *_: Any) -> str:
    return key.namespace_id


def _of_commit(commit: Commit) -> str:
    return commit.namespace_id


@dataclass(frozen=True, slots=True)
class Access:
    """One method of the store: what it is called, which service it serves as a rule, which namespace it concerns."""

    interface: Interface
    operation: str
    service: str
    about: About = _nobody


ACCESSES: Final[dict[str, Access]] = {
    "acquire_shard": Access("ShardStore", "GetOrCreateShard", "history"),
    "commit": Access("ExecutionStore", "UpdateWorkflowExecution", "history", _of_commit),
    "read_current": Access("ExecutionStore", "GetCurrentExecution", "history", _second),
    "read_run": Access("ExecutionStore", "GetWorkflowExecution", "history", _second),
    "read_history": Access("ExecutionStore", "ReadHistoryBranch", "history"),
    "read_history_reverse": Access("ExecutionStore", "ReadHistoryBranchReverse", "history"),
    "read_tasks": Access("ExecutionStore", "GetHistoryTasks", "history"),
    "delete_tasks": Access("ExecutionStore", "RangeCompleteHistoryTasks", "history"),
    "delete_run": Access("ExecutionStore", "DeleteWorkflowExecution", "history", _third),
    "lease_queue": Access("TaskStore", "UpdateTaskQueue", "matching", _of_key),
    "append_backlog": Access("TaskStore", "CreateTasks", "matching", _of_key),
    "read_backlog": Access("TaskStore", "GetTasks", "matching", _of_key),
    "acknowledge_backlog": Access("TaskStore", "CompleteTasksLessThan", "matching", _of_key),
    "backlog_count": Access("TaskStore", "GetTaskQueue", "matching", _of_key),
    "create_namespace": Access("MetadataStore", "CreateNamespace", "frontend"),
    "update_namespace": Access("MetadataStore", "UpdateNamespace", "frontend"),
    "read_namespace": Access("MetadataStore", "GetNamespace", "frontend"),
    "list_namespaces": Access("MetadataStore", "ListNamespaces", "frontend"),
    "cluster_value": Access("ClusterMetadataStore", "GetClusterMetadata", "frontend"),
    "set_cluster_value": Access("ClusterMetadataStore", "SaveClusterMetadata", "frontend"),
    "upsert_visibility": Access("Visibility", "UpsertWorkflowExecution", "history"),
    "delete_visibility": Access("Visibility", "DeleteWorkflowExecution", "history"),
    "list_visibility": Access("Visibility", "ListWorkflowExecutions", "frontend"),
    "count_visibility": Access("Visibility", "CountWorkflowExecutions", "frontend"),
}
CREATE: Final = Access("ExecutionStore", "CreateWorkflowExecution", "history", _of_commit)


def measured(store: Store, clock: Clock, services: Collection[str], plugin: str = "sqlite", index: str = "") -> Store:
    """`store`, with its accesses shown as those of the services that run here. `plugin`, `index`: how lists name it."""
    return cast("Store", _MeasuredStore(store, clock, services, {"visibility_plugin_name": plugin, **_index(index)}))


def name_namespaces(store: Store, name_of: Callable[[str], str]) -> None:
    """From now on accesses are shown by the name of their namespace; `name_of` an id that is unknown is ""."""
    if isinstance(store, _MeasuredStore):
        store.name_of = name_of


def _index(name: str) -> dict[str, str]:
    return {"visibility_index_name": name}


@final
class _Shown:
    """What one access of one namespace bumps."""

    __slots__ = ("errors", "labels", "latency", "requests", "typed")

    def __init__(
        self,
        labels: dict[str, str],
        families: tuple[Counter, Counter, Counter, Histogram],
    ) -> None:
        requests, errors, self.typed, latency = families
        self.labels = labels
        self.requests: BoundCounter = requests.bind(**labels)
        self.errors = errors
        self.latency: BoundHistogram = latency.bind(**labels)

    def failed(self, error: BaseException) -> None:
        if isinstance(error, StoreError | UnknownOutcome):
            self.errors.bind(**self.labels).inc()
        self.refused(f"persistence_{type(error).__name__}")

    def refused(self, error_type: str) -> None:
        self.typed.bind(**self.labels, error_type=error_type).inc()


FAMILIES: Final = (REQUESTS, ERRORS, ERROR_WITH_TYPE, LATENCY)
LIST_FAMILIES: Final = (LIST_REQUESTS, LIST_ERRORS, LIST_ERROR_WITH_TYPE, LIST_LATENCY)


@final
class _MeasuredStore:
    """Stands before a store with a method for each of `ACCESSES`; whatever else it has is the store's own."""

    def __init__(self, store: Store, clock: Clock, services: Collection[str], lists: dict[str, str]) -> None:
        self._store, self._clock, self._services, self._lists = store, clock, services, lists
        self.name_of: Callable[[str], str] = _nobody
        for name, access in ACCESSES.items():
            setattr(self, name, self._method(getattr(store, name), access))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _method(self, method: Callable[..., Awaitable[Any]], access: Access) -> Callable[..., Awaitable[Any]]:
        clock, about = self._clock, access.about
        service = access.service if access.service in self._services else next(iter(self._services), access.service)
        shown_of: dict[str, dict[str, _Shown]] = {}  # by operation, by namespace id
        only = shown_of.setdefault(access.operation, {})
        varies, finds = access.operation in _VARYING, access.operation in _FINDING
        spans = tracer(service)

        async def measured(*arguments: Any, **named: Any) -> Any:
            which, cells = access, only
            if varies:
                which = _which(access, arguments)
                cells = shown_of.setdefault(which.operation, {})
            namespace_id = about(*arguments, **named)
            shown = cells.get(namespace_id) or self._shown(cells, which, service, namespace_id)
            shown.requests.inc()
            began = clock.monotonic()
            try:
                if spans is None:
                    result = await method(*arguments, **named)
                else:
                    with spans.accessing(which.interface, which.operation):
                        result = await method(*arguments, **named)
            except BaseException as error:
                shown.failed(error)
                raise
            finally:
                shown.latency.observe(clock.monotonic() - began)
            if result is None and finds:
                shown.refused(NOT_FOUND)
            elif result.__class__ is Outcome and result is not Outcome.COMMITTED:
                shown.refused(REFUSED[result] if which.interface == "ExecutionStore" else LEASE_LOST)
            return result

        return measured

    def _shown(self, cells: dict[str, _Shown], access: Access, service: str, namespace_id: str) -> _Shown:
        labels = {"operation": access.operation, "service_name": service}
        if access.interface == "Visibility":
            shown = cells[namespace_id] = _Shown(labels | self._lists, LIST_FAMILIES)
            return shown
        name = self.name_of(namespace_id) if namespace_id else SYSTEM
        shown = _Shown(labels | {"namespace": name or UNKNOWN_NAMESPACE}, FAMILIES)
        if name:
            cells[namespace_id] = shown
        return shown


_FINDING: Final = {"GetCurrentExecution", "GetWorkflowExecution", "GetNamespace"}
_VARYING: Final = {"UpdateWorkflowExecution", "UpsertWorkflowExecution"}
STARTED: Final = Access("Visibility", "RecordWorkflowExecutionStarted", "history")
CLOSED: Final = Access("Visibility", "RecordWorkflowExecutionClosed", "history")


def _which(access: Access, arguments: tuple[Any, ...]) -> Access:
    """Writes have the name of what they write: a new run or a change of one; a start, a change or an end in lists."""
    if access.interface == "ExecutionStore":
        commit = cast("Commit", arguments[0])
        return access if any(run.expected_version for run in commit.runs) else CREATE
    records = cast("Sequence[VisibilityRecord]", arguments[0])
    if records and all(record.close_time_ns for record in records):
        return CLOSED
    return STARTED if records and all(record.version == 1 for record in records) else access
