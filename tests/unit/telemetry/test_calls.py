"""Calls between services over a real connection: what both ends count, and the spans that follow one another."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.errors import NotFound, Unavailable
from services.protos.matching_pb2 import AddTaskRequest
from services.rpc import HISTORY, HISTORY_SERVICE, MATCHING, Call, Send, Wire, in_process
from services.rpc.measured import CLIENT_ERRORS, CLIENT_LATENCY, CLIENT_REQUESTS, namer
from services.rpc.network import Network
from services.rpc.server import InternalServer, served
from services.runtime import SystemClock
from services.telemetry import (
    SERVICE_ERROR_WITH_TYPE,
    SERVICE_ERRORS,
    SERVICE_REQUESTS,
    close_tracing,
    configure_tracing,
)

SIGNAL = HISTORY["signal_workflow_execution"]
REQUEST = api.SignalWorkflowExecutionRequest(workflow_execution=WorkflowExecution(workflow_id="w", run_id="r"))
Answer = Callable[[Wire, Call, Any], Awaitable[Any]]


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    configure_tracing([], [SimpleSpanProcessor(exporter)])
    yield exporter
    close_tracing()


@asynccontextmanager
async def connected(answer: Answer) -> AsyncIterator[Send]:
    """From a frontend to a history service that answers as it is told."""
    clock = SystemClock()
    server, network = InternalServer(clock, DynamicConfig(env={}), "history"), Network(clock)
    port = server.listen("127.0.0.1", 0)
    await server.start([HISTORY_SERVICE])
    server.serve(served(HISTORY, HISTORY_SERVICE, answer))
    yield network.to(f"127.0.0.1:{port}", HISTORY_SERVICE, "frontend")
    await network.close()
    await server.stop(0)


async def signalled(_wire: Wire, _call: Call, _request: Any) -> api.SignalWorkflowExecutionResponse:
    return api.SignalWorkflowExecutionResponse()


async def not_found(_wire: Wire, _call: Call, _request: Any) -> Any:
    raise NotFound("nobody")


async def unavailable(_wire: Wire, _call: Call, _request: Any) -> Any:
    raise Unavailable("not now")


def client(namespace: str) -> dict[str, str]:
    operation = "HistoryClientSignalWorkflowExecution"
    return {
        "operation": operation,
        "namespace": namespace,
        "service_name": "frontend",
        "service_role": "history",
    }


def server(namespace: str) -> dict[str, str]:
    return {"operation": "SignalWorkflowExecution", "namespace": namespace, "service_name": "history"}


async def test_a_call_over_the_network_counts_at_both_ends_under_its_namespace() -> None:
    async with connected(signalled) as send:
        await send(SIGNAL, Call(namespace="network-ns"), REQUEST)
    assert CLIENT_REQUESTS.bind(**client("network-ns")).value == 1
    assert sum(CLIENT_LATENCY.bind(**client("network-ns")).counts) == 1
    assert SERVICE_REQUESTS.bind(**server("network-ns")).value == 1


async def test_a_refusal_counts_by_its_type_and_a_failure_as_the_servers() -> None:
    for answer, name, ours in ((not_found, "NotFound", 0), (unavailable, "Unavailable", 1)):
        namespace = f"refused_{name}"
        async with connected(answer) as send:
            with pytest.raises((NotFound, Unavailable)):
                await send(SIGNAL, Call(namespace=namespace), REQUEST)
        error = {"error_type": f"serviceerror_{name}"}
        assert CLIENT_ERRORS.bind(**client(namespace), **error).value == 1
        assert SERVICE_ERROR_WITH_TYPE.bind(**server(namespace), **error).value == 1
        assert SERVICE_ERRORS.bind(**server(namespace)).value == ours


async def test_within_a_process_the_same_is_counted() -> None:
    send = in_process(signalled, caller="frontend", service=HISTORY_SERVICE, clock=SystemClock())
    await send(SIGNAL, Call(namespace="inside"), REQUEST)
    assert CLIENT_REQUESTS.bind(**client("inside")).value == 1
    assert SERVICE_REQUESTS.bind(**server("inside")).value == 1


async def test_the_servers_span_follows_the_clients_over_the_network(spans: InMemorySpanExporter) -> None:
    async with connected(signalled) as send:
        await send(SIGNAL, Call(namespace="n"), REQUEST)
    there, here = spans.get_finished_spans()
    assert here.name == there.name == "perdure.internal.v1.HistoryService/SignalWorkflowExecution"
    assert _service(here) == "io.temporal.frontend"
    assert _service(there) == "io.temporal.history"
    assert here.context is not None
    assert there.parent is not None
    assert there.parent.span_id == here.context.span_id
    assert there.context is not None
    assert there.context.trace_id == here.context.trace_id
    assert there.attributes is not None
    assert there.attributes["temporalWorkflowID"] == "w"
    assert there.attributes["temporalRunID"] == "r"


async def test_a_failed_calls_spans_tell_its_status(spans: InMemorySpanExporter) -> None:
    async with connected(not_found) as send:
        with pytest.raises(NotFound):
            await send(SIGNAL, Call(namespace="n"), REQUEST)
    statuses = {(span.attributes or {}).get("rpc.response.status_code") for span in spans.get_finished_spans()}
    assert statuses == {"NOT_FOUND"}


async def test_within_a_process_there_are_the_same_two_spans(spans: InMemorySpanExporter) -> None:
    send = in_process(signalled, caller="frontend", service=HISTORY_SERVICE, clock=SystemClock())
    await send(SIGNAL, Call(namespace="n"), REQUEST)
    assert [_service(span) for span in spans.get_finished_spans()] == ["io.temporal.history", "io.temporal.frontend"]


def test_a_prefix_of_service_names_comes_from_the_environment(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.telemetry import tracer

    monkeypatch.setenv("OTEL_SERVICE_NAME", "acme")
    spanned = tracer("matching")
    assert spanned is not None
    with spanned.accessing("TaskStore", "GetTasks"):
        pass
    (span,) = spans.get_finished_spans()
    assert _service(span) == "acme.matching"


def test_operations_have_the_references_names() -> None:
    add = namer(MATCHING["add_task"])
    assert add(AddTaskRequest(task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)) == "AddWorkflowTask"
    assert add(AddTaskRequest(task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)) == "AddActivityTask"
    assert namer(HISTORY["record_child_closed"])(None) == "RecordChildExecutionCompleted"
    assert namer(HISTORY["record_workflow_task_started"])(None) == "RecordWorkflowTaskStarted"


def _service(span: ReadableSpan) -> object:
    return span.resource.attributes["service.name"]
