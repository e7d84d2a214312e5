"""Calls between services as telemetry shows them: by the reference server's names, to who asks and to who answers."""

from collections.abc import Callable, Mapping
from typing import Any, Final, final

from services.errors import ServiceError
from services.rpc.call import Call
from services.rpc.stand_in import Send
from services.rpc.wire import ACTIVITY, HISTORY_SERVICE, MATCHING_SERVICE, Wire
from services.runtime import Clock
from services.telemetry import UNKNOWN_NAMESPACE, Counter, Histogram, Tracer, call_metrics, tracer

CLIENT_LABELS: Final = ("operation", "namespace", "service_name", "service_role")
CLIENT_REQUESTS = Counter("client_requests", CLIENT_LABELS, "Calls to another service, every attempt.")
CLIENT_ERRORS = Counter("client_errors", (*CLIENT_LABELS, "error_type"), "Those that failed.")
CLIENT_LATENCY = Histogram("client_latency", CLIENT_LABELS, "How long they took.")

POLL: Final = "poll_"
ROLES: Final = {HISTORY_SERVICE: "history", MATCHING_SERVICE: "matching"}
# Where the reference has another name for what one of our methods does.
NAMES: Final[Mapping[str, str]] = {
    "start_child": "StartWorkflowExecution",
    "schedule_first_workflow_task": "ScheduleWorkflowTask",
    "record_child_closed": "RecordChildExecutionCompleted",
    "signal_external": "SignalWorkflowExecution",
    "cancel_external": "RequestCancelWorkflowExecution",
    "unload": "ForceUnloadTaskQueuePartition",
}


def namer(wire: Wire) -> Callable[[Any], str]:
    """From a request of a method to the operation it is counted as."""
    if wire.name == "add_task":
        return lambda request: "AddActivityTask" if request.task_queue_type == ACTIVITY else "AddWorkflowTask"
    name = NAMES.get(wire.name) or wire.path("").rpartition("/")[2]
    return lambda _request: name


def error_type(error: BaseException) -> str:
    """The error_type label of what a call raised."""
    if isinstance(error, ServiceError):
        return f"serviceerror_{type(error).__name__}"
    return "serviceerror_Canceled" if not isinstance(error, Exception) else "serviceerror_Unknown"


CALLERS_OWN: Final = frozenset(  # gRPC statuses
    (
        "CANCELLED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "PERMISSION_DENIED",
    )
)


def is_ours(error: BaseException) -> bool:
    """Whether the server failed, rather than refused."""
    if isinstance(error, ServiceError):
        return error.code.name not in CALLERS_OWN
    return isinstance(error, Exception)


@final
class _ClientMetrics:
    __slots__ = ("_labels", "latency", "requests")

    def __init__(self, **labels: str) -> None:
        self._labels = labels
        self.requests = CLIENT_REQUESTS.bind(**labels)
        self.latency = CLIENT_LATENCY.bind(**labels)

    def failed(self, error: BaseException) -> None:
        CLIENT_ERRORS.bind(**self._labels, error_type=error_type(error)).inc()


_clients: dict[tuple[str, str, str, str], _ClientMetrics] = {}
_namers: dict[tuple[str, str], Callable[[Any], str]] = {}


def _client_metrics(caller: str, role: str, operation: str, namespace: str) -> _ClientMetrics:
    key = (caller, role, operation, namespace)
    found = _clients.get(key)
    if found is None:
        found = _clients[key] = _ClientMetrics(
            operation=f"{role.capitalize()}Client{operation}",
            namespace=namespace or UNKNOWN_NAMESPACE,
            service_name=caller,
            service_role=role,
        )
    return found


def _operation(role: str, wire: Wire, request: Any) -> str:
    known = _namers.get((role, wire.name))
    if known is None:
        known = _namers[role, wire.name] = namer(wire)
    return known(request)


def asking(send: Send, *, caller: str, service: str, clock: Clock) -> Send:
    """`send`, counted as calls of the service `caller` to `service` (its full gRPC name)."""
    role = ROLES[service]

    async def measured(wire: Wire, call: Call, request: Any) -> Any:
        metrics = _client_metrics(caller, role, _operation(role, wire, request), call.namespace)
        metrics.requests.inc()
        began = clock.monotonic()
        try:
            return await send(wire, call, request)
        except BaseException as error:
            metrics.failed(error)
            raise
        finally:
            metrics.latency.observe(clock.monotonic() - began)

    return measured


def answering(send: Send, *, service: str, clock: Clock) -> Send:
    """`send`, counted as calls that `service` serves: for the carrier inside a process, where no server does it."""
    role = ROLES[service]

    async def measured(wire: Wire, call: Call, request: Any) -> Any:
        metrics = call_metrics(_operation(role, wire, request), call.namespace, role)
        metrics.started()
        began = clock.monotonic()
        failed: str | None = None
        ours = False
        try:
            return await send(wire, call, request)
        except BaseException as error:
            failed, ours = error_type(error), is_ours(error)
            if wire.name.startswith(POLL) and not isinstance(error, Exception):
                failed = None  # a poll whose worker left is none that failed
            raise
        finally:
            metrics.ended(clock.monotonic() - began, failed, ours=ours)

    return measured


def in_process(send: Send, *, caller: str, service: str, clock: Clock) -> Send:
    """The carrier inside a process with what telemetry would see between two: both ends, and their spans."""
    measured = asking(answering(send, service=service, clock=clock), caller=caller, service=service, clock=clock)
    here, there = tracer(caller), tracer(ROLES[service])
    return measured if here is None or there is None else _traced(measured, here, there, service)


def _traced(send: Send, here: Tracer, there: Tracer, service: str) -> Send:
    async def traced(wire: Wire, call: Call, request: Any) -> Any:
        path = wire.path(service)
        with here.asking(path, ""), there.serving(path, ()) as span:
            span.concerns(request)
            try:
                return await send(wire, call, request)
            except ServiceError as error:
                span.answered(error.code.name)
                raise

    return traced
