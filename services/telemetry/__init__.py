"""Telemetry: logs, metrics and the endpoint that shows them, traces."""

from structlog.typing import FilteringBoundLogger

from services.telemetry.logging import LogForm, LogLevel, configure_logging, get_logger
from services.telemetry.metrics import (
    BYTES_BUCKETS,
    COUNT_BUCKETS,
    REGISTRY,
    SECONDS_BUCKETS,
    UNKNOWN_NAMESPACE,
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    Counter,
    Gauge,
    Histogram,
    Registry,
)
from services.telemetry.process import show_process
from services.telemetry.requests import (
    CALL_LABELS,
    SERVICE_ERROR_WITH_TYPE,
    SERVICE_ERRORS,
    SERVICE_LATENCY,
    SERVICE_PENDING_REQUESTS,
    SERVICE_REQUESTS,
    CallMetrics,
    call_metrics,
)
from services.telemetry.scrape import MetricsServer
from services.telemetry.tracing import (
    CallSpan,
    TraceExporter,
    Tracer,
    close_tracing,
    configure_tracing,
    outgoing,
    tracer,
)

__all__ = [
    "BYTES_BUCKETS",
    "CALL_LABELS",
    "COUNT_BUCKETS",
    "REGISTRY",
    "SECONDS_BUCKETS",
    "SERVICE_ERRORS",
    "SERVICE_ERROR_WITH_TYPE",
    "SERVICE_LATENCY",
    "SERVICE_PENDING_REQUESTS",
    "SERVICE_REQUESTS",
    "UNKNOWN_NAMESPACE",
    "BoundCounter",
    "BoundGauge",
    "BoundHistogram",
    "CallMetrics",
    "CallSpan",
    "Counter",
    "FilteringBoundLogger",
    "Gauge",
    "Histogram",
    "LogForm",
    "LogLevel",
    "MetricsServer",
    "Registry",
    "TraceExporter",
    "Tracer",
    "call_metrics",
    "close_tracing",
    "configure_logging",
    "configure_tracing",
    "get_logger",
    "outgoing",
    "show_process",
    "tracer",
]
