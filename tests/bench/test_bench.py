"""The bench drives a server, checks every workflow, and ends with one line a program can read."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import cast

import grpc.aio
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import (
    History,
    HistoryEvent,
    WorkflowExecutionCompletedEventAttributes,
    WorkflowExecutionTerminatedEventAttributes,
)
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    StartWorkflowExecutionResponse,
)

from tests.bench.__main__ import Plan, measure
from tests.bench.customers import Customers
from tests.bench.load import RESULT, BenchError, Load
from tests.bench.measure import Sample
from tests.bench.report import render
from tests.bench.servers import OFFICIAL, PERDURE
from tests.bench.wire import Template

COMPLETED = HistoryEvent(
    event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    workflow_execution_completed_event_attributes=WorkflowExecutionCompletedEventAttributes(result=RESULT),
)
TERMINATED = HistoryEvent(
    event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    workflow_execution_terminated_event_attributes=WorkflowExecutionTerminatedEventAttributes(),
)


async def test_a_tiny_load_on_perdure_ends_with_its_figures() -> None:
    plan = Plan(rounds=1, server_warm_up_s=0.1, warm_up_s=0.0, window_s=0.5)
    samples = await measure([PERDURE], [Load(1), Load(20), Load(2, 10)], plan)
    last_line = render(samples).splitlines()[-1]
    assert re.fullmatch(r"bench: throughput \d+\.\d\d/s, cpu \d+\.\d\dms, p50 \d+\.\d\dms", last_line)


def test_the_last_line_is_ours_over_official() -> None:
    official, ours = _sample(closed=40, cpu_s=1.6, latency_s=0.4), _sample(closed=160, cpu_s=1.28, latency_s=0.1)
    samples = {
        (OFFICIAL, Load(1)): [official],
        (PERDURE, Load(1)): [ours],
        (OFFICIAL, Load(20)): [official, official],
        (PERDURE, Load(20)): [ours, ours],
    }
    assert render(samples).splitlines()[-1] == "bench: throughput 4.00x, cpu 0.20x, p50 0.25x"


def test_a_load_left_out_is_not_invented() -> None:
    sample = _sample(closed=40, cpu_s=1.6, latency_s=0.4)
    samples = {(OFFICIAL, Load(1)): [sample], (PERDURE, Load(1)): [sample]}
    assert render(samples).splitlines()[-1] == "bench: throughput n/a, cpu n/a, p50 1.00x"


@pytest.mark.parametrize("text", ["", "0", "x10", "20x", "20x0", "-1", "many"])
def test_a_malformed_load_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a load such as 20 or 20x10"):
        Load.parse(text)


def test_a_filled_template_is_the_message() -> None:
    token, execution = b"t" * 300, WorkflowExecution(workflow_id="id", run_id="run")
    template = Template(GetWorkflowExecutionHistoryRequest(namespace="default"), "execution", "next_page_token")
    parsed = GetWorkflowExecutionHistoryRequest.FromString(template.fill(execution.SerializeToString(), token))
    assert parsed == GetWorkflowExecutionHistoryRequest(namespace="default", execution=execution, next_page_token=token)


async def test_a_completed_workflow_counts() -> None:
    assert len(await _serve_one_customer([_history(COMPLETED)])) == 1


async def test_a_wait_that_ran_out_is_resumed() -> None:
    empty = GetWorkflowExecutionHistoryResponse(next_page_token=b"more").SerializeToString()
    assert len(await _serve_one_customer([empty, _history(COMPLETED)])) == 1


@pytest.mark.parametrize("reply", [[TERMINATED], []], ids=["terminated", "no close event"])
async def test_a_workflow_that_did_not_complete_fails_the_bench(reply: list[HistoryEvent]) -> None:
    with pytest.RaisesGroup(BenchError):
        await _serve_one_customer([_history(*reply)])


def _sample(*, closed: int, cpu_s: float, latency_s: float) -> Sample:
    return Sample(window_s=1.0, server_cpu_s=cpu_s, driver_cpu_s=0.1, latencies_s=[latency_s] * closed)


def _history(*events: HistoryEvent) -> bytes:
    return GetWorkflowExecutionHistoryResponse(history=History(events=events)).SerializeToString()


async def _serve_one_customer(history_replies: list[bytes]) -> list[float]:
    """Latencies of one customer with one workflow, whose waits are answered by these replies."""

    async def start(request: bytes, *, timeout: float) -> bytes:
        customers.stop()
        return StartWorkflowExecutionResponse(run_id="run").SerializeToString()

    async def get_history(request: bytes, *, timeout: float) -> bytes:
        return history_replies.pop(0)

    class Channel:
        def unary_unary(self, path: str) -> Callable[..., Awaitable[bytes]]:
            return {"StartWorkflowExecution": start, "GetWorkflowExecutionHistory": get_history}[path.split("/")[-1]]

    customers = Customers(cast(grpc.aio.Channel, Channel()), Load(1), "queue")
    async with asyncio.TaskGroup() as group:
        customers.start(group)
    return customers.latencies_s
