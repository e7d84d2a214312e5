"""Traces as a collector gets them: from a client's call over the services to the store, and on to what follows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api
from temporalio.client import Client

from services.telemetry import tracer
from tests.processes import BIN, Server
from tests.telemetry import work
from tests.telemetry.collector import Collector, Seen

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
START = "temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"
HISTORY_START = "perdure.internal.v1.HistoryService/StartWorkflowExecution"
ADD_TASK = "perdure.internal.v1.MatchingService/AddTask"
PUSH = "queue.Execute/TransferWorkflowTask"
CREATE = "persistence.ExecutionStore/CreateWorkflowExecution"


async def _start(address: str) -> None:
    """A start that follows a span of its caller's."""
    client = await Client.connect(address)
    request = api.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="traced",
        workflow_type=WorkflowType(name="Work"),
        task_queue=TaskQueue(name=work.QUEUE),
        request_id="once",
    )
    traceparent = f"00-{TRACE_ID}-b7ad6b7169203331-01"
    await client.workflow_service.start_workflow_execution(request, metadata={"traceparent": traceparent})


def _of_the_trace(seen: Sequence[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for each in seen:
        if each.span.trace_id.hex() == TRACE_ID:
            found.setdefault(each.span.name, []).append(each)
    return found


def test_a_start_is_followed_from_the_client_to_the_store_and_the_task_it_causes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://{collector.endpoint}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=acme")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with Server(tmp_path, executable=BIN / "perdure") as server:
            asyncio.run(_start(server.address))
            wanted = {START, HISTORY_START, ADD_TASK, PUSH, CREATE}
            spans = _of_the_trace(collector.wait_for(lambda seen: wanted <= _of_the_trace(seen).keys()))
        assert collector.metadata["x-tenant"] == "acme"
    (start,) = spans[START]
    assert start.service == "io.temporal.frontend"
    assert start.span.parent_span_id.hex() == "b7ad6b7169203331"
    assert start.attributes["temporalWorkflowID"] == "traced"
    assert start.attributes["rpc.response.status_code"] == "OK"
    assert {seen.service for seen in spans[HISTORY_START]} == {"io.temporal.frontend", "io.temporal.history"}
    assert {seen.service for seen in spans[ADD_TASK]} == {"io.temporal.history", "io.temporal.matching"}
    (create,) = spans[CREATE]
    assert create.attributes == {
        "persistence.store": "ExecutionStore",
        "persistence.method": "CreateWorkflowExecution",
    }
    (push,) = spans[PUSH]
    assert push.service == "io.temporal.history"
    assert push.attributes["temporalWorkflowID"] == "traced"


def test_without_being_asked_nothing_is_traced() -> None:
    assert "OTEL_TRACES_EXPORTER" not in os.environ
    assert tracer("frontend") is None
