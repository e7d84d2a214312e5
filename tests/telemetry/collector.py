"""An OpenTelemetry collector that keeps what it gets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

WAIT_S_MAX = 15.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One span, with the service it is of."""

    service: str
    span: Span

    @property
    def attributes(self) -> dict[str, Any]:
        return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in self.span.attributes}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Serves OTLP on a free port of this machine."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._spans: list[Seen] = []
        self.metadata: dict[str, str | bytes] = {}
        self._server = grpc.server(ThreadPoolExecutor(2))
        register: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        register(self, self._server)
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(None).wait()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 (the name gRPC calls)
        found = [
            Seen(_service(resource), span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._arrived:
            self._spans += found
            self.metadata = dict(context.invocation_metadata())
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, wanted: Callable[[Sequence[Seen]], bool]) -> Sequence[Seen]:
        """All spans, once they are what is wanted. AssertionError with their names when they never are."""
        deadline = time.monotonic() + WAIT_S_MAX
        with self._arrived:
            while not wanted(self._spans):
                left = deadline - time.monotonic()
                assert left > 0, sorted({f"{seen.service} {seen.span.name}" for seen in self._spans})
                self._arrived.wait(left)
            return list(self._spans)


def _service(resource: ResourceSpans) -> str:
    return next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
