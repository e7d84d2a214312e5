"""OpenTelemetry traces, off until `configure_tracing`: then a span per call, store access and outbox task.

Names and attributes are the reference server's. Spans of one service belong to the resource `io.temporal.SERVICE`; the
current span travels by context, so what a call causes in this process follows it, and as W3C `traceparent` to others.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanProcessor

WORKFLOW_ID: Final = "temporalWorkflowID"
RUN_ID: Final = "temporalRunID"
SERVICE_PREFIX: Final = "io.temporal"
RPC_SCOPE: Final = "perdure.rpc"

Metadata = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceExporter:
    """Where spans go by OTLP over gRPC. What is left out comes from the OTEL_EXPORTER_OTLP_* variables."""

    endpoint: str = ""
    insecure: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


@final
class Tracer:
    """The spans of one service."""

    __slots__ = ("_provider", "_rpc", "_scopes")

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._rpc: trace.Tracer = provider.get_tracer(RPC_SCOPE)
        self._scopes: dict[str, trace.Tracer] = {}

    @contextmanager
    def serving(self, path: str, metadata: Metadata | None) -> "Iterator[CallSpan]":
        """A call that this service answers; it follows the caller's span when `metadata` says which that is."""
        from opentelemetry.trace import SpanKind

        carrier = {key: value for key, value in metadata or () if key in ("traceparent", "tracestate")}
        with self._rpc.start_as_current_span(
            path[1:],
            context=_propagator().extract(carrier) if carrier else None,
            kind=SpanKind.SERVER,
            attributes={"rpc.method": path[1:], "rpc.system.name": "grpc"},
            record_exception=False,
        ) as span:
            yield CallSpan(span)

    @contextmanager
    def asking(self, path: str, address: str) -> "Iterator[CallSpan]":
        """A call to another service, at an address ("" within this process). `outgoing` goes with it."""
        from opentelemetry.trace import SpanKind

        attributes: dict[str, str | int] = {"rpc.method": path[1:], "rpc.system.name": "grpc"}
        host, colon, port = address.rpartition(":")
        if colon:
            attributes |= {"server.address": host, "server.port": int(port)}
        with self._rpc.start_as_current_span(
            path[1:], kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
        ) as span:
            yield CallSpan(span)

    @contextmanager
    def accessing(self, store: str, method: str) -> Iterator[None]:
        """One access to the database, such as `ExecutionStore`, `UpdateWorkflowExecution`."""
        with self._scope("persistence").start_as_current_span(
            f"persistence.{store}/{method}", attributes={"persistence.store": store, "persistence.method": method}
        ):
            yield

    @contextmanager
    def executing(self, queue: str, kind: str, task_id: int, workflow_id: str, run_id: str) -> Iterator[None]:
        """One outbox task of a queue: `transfer`, `timer` or `visibility`."""
        from opentelemetry.trace import SpanKind

        with self._scope(f"queue.{queue}").start_as_current_span(
            f"queue.Execute/{kind}",
            kind=SpanKind.CONSUMER,
            attributes={
                "queue.task.type": kind,
                "queue.task.id": task_id,
                WORKFLOW_ID: workflow_id,
                RUN_ID: run_id,
            },
        ):
            yield

    def _scope(self, name: str) -> "trace.Tracer":
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = self._provider.get_tracer(name)
        return found


@final
class CallSpan:
    """The span of a call that is under way."""

    __slots__ = ("_span",)

    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    def concerns(self, request: Any) -> None:
        """Notes the workflow a request is about, if it is about one."""
        if not self._span.is_recording():
            return
        workflow_id, run_id = _execution(request)
        if workflow_id:
            self._span.set_attribute(WORKFLOW_ID, workflow_id)
            self._span.set_attribute(RUN_ID, run_id)

    def answered(self, status: str) -> None:
        """By the name of its gRPC status."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("rpc.response.status_code", status)
        if status != "OK":
            self._span.set_status(Status(StatusCode.ERROR, status))


def _execution(request: Any) -> tuple[str, str]:
    """(workflow id, run id) of a request: its own, its execution's, or those of the task it hands over."""
    fields = request.DESCRIPTOR.fields_by_name
    for name in ("execution", "workflow_execution", "task", "start", "signal", "cancel"):
        if name in fields and request.HasField(name):
            return _execution(getattr(request, name))
    if "workflow_id" in fields:
        return request.workflow_id, request.run_id if "run_id" in fields else ""
    return "", ""


_tracers: dict[str, Tracer] = {}
_processors: "list[SpanProcessor]" = []


def configure_tracing(exporters: Sequence[TraceExporter], processors: "Sequence[SpanProcessor]" = ()) -> None:
    """Traces whatever is built from now on. An exporter that cannot be reached costs spans, nothing else."""
    if exporters:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        for exporter in exporters:
            sender = OTLPSpanExporter(
                endpoint=exporter.endpoint or None,
                insecure=exporter.insecure,
                headers=dict(exporter.headers) or None,
                timeout=exporter.timeout_s,
            )
            _processors.append(BatchSpanProcessor(sender))
    _processors.extend(processors)


def close_tracing() -> None:
    """Sends what is waiting and turns tracing off."""
    for processor in _processors:
        processor.shutdown()
    _processors.clear()
    _tracers.clear()


def tracer(service: str) -> Tracer | None:
    """The spans of a service such as "history"; None while tracing is off. Ask once, when the service is built."""
    if not _processors:
        return None
    found = _tracers.get(service)
    if found is None:
        found = _tracers[service] = Tracer(_provider(service))
    return found


def outgoing() -> Metadata:
    """What tells the service that is called now which span it follows."""
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return tuple(carrier.items())


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()


def _provider(service: str) -> Any:
    from opentelemetry.sdk.resources import OTELResourceDetector, ProcessResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    prefix = os.environ.get("OTEL_SERVICE_NAME") or SERVICE_PREFIX
    named = Resource({"service.name": f"{prefix}.{service}", "service.version": version("perdure")})
    detected = OTELResourceDetector().detect().merge(ProcessResourceDetector().detect())
    provider = TracerProvider(resource=Resource.create().merge(detected).merge(named), shutdown_on_exit=False)
    for processor in _processors:
        provider.add_span_processor(processor)
    return provider
