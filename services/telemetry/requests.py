"""The metrics of served calls, with the reference's names and labels."""

from typing import final

from services.telemetry.metrics import UNKNOWN_NAMESPACE, Counter, Gauge, Histogram

CALL_LABELS = ("operation", "namespace", "service_name")

SERVICE_REQUESTS = Counter("service_requests", CALL_LABELS)
SERVICE_ERRORS = Counter("service_errors", CALL_LABELS, "Calls that the server failed")
SERVICE_ERROR_WITH_TYPE = Counter("service_error_with_type", (*CALL_LABELS, "error_type"))
SERVICE_LATENCY = Histogram("service_latency", CALL_LABELS)
SERVICE_PENDING_REQUESTS = Gauge("service_pending_requests", CALL_LABELS)


@final
class CallMetrics:
    """What one operation of one service, called for one namespace, counts: `started`, then `ended` exactly once."""

    __slots__ = ("_errors", "_labels", "_latency", "_pending", "_requests")

    def __init__(self, *, operation: str, namespace: str, service_name: str) -> None:
        labels = {
            "operation": operation,
            "namespace": namespace or UNKNOWN_NAMESPACE,
            "service_name": service_name,
        }
        self._labels = labels
        self._requests = SERVICE_REQUESTS.bind(**labels)
        self._errors = SERVICE_ERRORS.bind(**labels)
        self._latency = SERVICE_LATENCY.bind(**labels)
        self._pending = SERVICE_PENDING_REQUESTS.bind(**labels)

    def started(self) -> None:
        """A call came in."""
        self._requests.inc()
        self._pending.inc()

    def ended(self, seconds: float, error_type: str | None = None, *, ours: bool = False) -> None:
        """It was answered after `seconds`: well, or with an error such as `serviceerror_NotFound`.

        `ours`: the server failed; an error that is the caller's, as NotFound is, counts by its type alone.
        """
        self._pending.dec()
        self._latency.observe(seconds)
        if error_type is not None:
            if ours:
                self._errors.inc()
            SERVICE_ERROR_WITH_TYPE.bind(**self._labels, error_type=error_type).inc()


_calls: dict[tuple[str, str, str], CallMetrics] = {}


def call_metrics(operation: str, namespace: str, service_name: str) -> CallMetrics:
    """The one `CallMetrics` for these labels. Pass only namespaces that exist: each value is kept for good."""
    key = (operation, namespace, service_name)
    found = _calls.get(key)
    if found is None:
        found = _calls[key] = CallMetrics(operation=operation, namespace=namespace, service_name=service_name)
    return found
