"""Lists and counts, on a real store: rows pass through, filters of the old lists mean what they say."""

from typing import Any

import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.filter.v1 import StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter
from temporalio.api.workflow.v1 import WorkflowExecutionInfo

from services.errors import InvalidArgument
from services.persistence import VisibilityRecord
from tests.unit.frontend.conftest import KEYWORD, Desk

RUNNING, COMPLETED, FAILED = (
    Status.WORKFLOW_EXECUTION_STATUS_RUNNING,
    Status.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    Status.WORKFLOW_EXECUTION_STATUS_FAILED,
)
SECOND = 1_000_000_000


async def show(desk: Desk, name: str, status: Status.ValueType, at_s: int) -> None:
    """A run that starts at `at_s`, and closes a second later if it is closed."""
    info = WorkflowExecutionInfo(execution=WorkflowExecution(workflow_id=name, run_id=name), status=status)
    record = VisibilityRecord(
        namespace_id=desk.default.id,
        workflow_id=name,
        run_id=name,
        version=1,
        workflow_type=f"Type-{name}",
        task_queue="q",
        status=status,
        start_time_ns=at_s * SECOND,
        execution_time_ns=at_s * SECOND,
        close_time_ns=0 if status == RUNNING else (at_s + 1) * SECOND,
        blob=info.SerializeToString(),
    )
    await desk.store.upsert_visibility([record])


@pytest.fixture
async def shown(desk: Desk) -> Desk:
    for name, status, at_s in (("o'clock", RUNNING, 10), ("b", RUNNING, 20), ("c", COMPLETED, 30), ("d", FAILED, 40)):
        await show(desk, name, status, at_s)
    return desk


def names(reply: Any) -> list[str]:
    return [each.execution.workflow_id for each in reply.executions]


async def listed(desk: Desk, **fields: Any) -> api.ListWorkflowExecutionsResponse:
    reply = await desk.ask(api.ListWorkflowExecutionsRequest(namespace="default", **fields))
    return api.ListWorkflowExecutionsResponse.FromString(reply)


async def test_a_list_is_read_page_by_page(shown: Desk) -> None:
    first = await listed(shown, page_size=3)
    assert names(first) == ["b", "o'clock", "d"]
    second = await listed(shown, page_size=3, next_page_token=first.next_page_token)
    assert names(second) == ["c"]
    assert second.next_page_token == b""
    assert names(await listed(shown, page_size=-1)) == ["b", "o'clock", "d", "c"]


async def test_a_row_is_as_it_was_written_however_long(desk: Desk) -> None:
    await show(desk, "x" * 300, RUNNING, 1)
    (row,) = (await listed(desk)).executions
    assert row.execution.workflow_id == "x" * 300
    assert row.status == RUNNING


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["b", "o'clock"]),
        ({"execution_filter": WorkflowExecutionFilter(workflow_id="o'clock")}, ["o'clock"]),
        ({"execution_filter": WorkflowExecutionFilter(workflow_id="c")}, []),
        ({"type_filter": WorkflowTypeFilter(name="Type-b")}, ["b"]),
        ({"start_time_filter": StartTimeFilter(earliest_time=Timestamp(seconds=15))}, ["b"]),
        ({"start_time_filter": StartTimeFilter(latest_time=Timestamp(seconds=15))}, ["o'clock"]),
        ({"maximum_page_size": 1}, ["b"]),
    ],
)
async def test_open_runs_by_the_old_filters(shown: Desk, filters: dict[str, Any], expected: list[str]) -> None:
    reply = await shown.ask(api.ListOpenWorkflowExecutionsRequest(namespace="default", **filters))
    assert names(api.ListOpenWorkflowExecutionsResponse.FromString(reply)) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["d", "c"]),
        ({"status_filter": StatusFilter(status=FAILED)}, ["d"]),
        ({"start_time_filter": StartTimeFilter(latest_time=Timestamp(seconds=31))}, ["c"]),
    ],
)
async def test_closed_runs_by_the_old_filters(shown: Desk, filters: dict[str, Any], expected: list[str]) -> None:
    reply = await shown.ask(api.ListClosedWorkflowExecutionsRequest(namespace="default", **filters))
    assert names(api.ListClosedWorkflowExecutionsResponse.FromString(reply)) == expected


async def test_counts_by_status(shown: Desk) -> None:
    reply = await shown.ask(api.CountWorkflowExecutionsRequest(namespace="default", query="GROUP BY ExecutionStatus"))
    assert reply.count == 4
    assert {each.group_values[0].data: each.count for each in reply.groups} == {
        b'"Running"': 2,
        b'"Completed"': 1,
        b'"Failed"': 1,
    }
    assert reply.groups[0].group_values[0].metadata["type"] == b"Keyword"


async def test_counts_come_in_the_order_of_statuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def count(*_arguments: object) -> list[tuple[tuple[str], int]]:
        return [(("Failed",), 1), (("ContinuedAsNew",), 3), (("Running",), 2), (("Completed",), 4)]

    monkeypatch.setattr(desk.store, "count_visibility", count)
    reply = await desk.ask(api.CountWorkflowExecutionsRequest(namespace="default", query="GROUP BY ExecutionStatus"))
    assert [each.count for each in reply.groups] == [2, 4, 1, 3]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            api.ListWorkflowExecutionsRequest(namespace="default", query="tea time"),
            "invalid query: malformed SQL query: syntax error at position 36 near 'time'",
        ),
        (
            api.CountWorkflowExecutionsRequest(namespace="default", query="tea time"),
            "invalid query: malformed SQL query: syntax error at position 36 near 'time'",
        ),
        (
            api.ListClosedWorkflowExecutionsRequest(namespace="default", status_filter=StatusFilter(status=RUNNING)),
            "StatusFilter must be specified and must be not Running.",
        ),
        (
            api.ListOpenWorkflowExecutionsRequest(
                namespace="default",
                start_time_filter=StartTimeFilter(earliest_time=Timestamp(seconds=2), latest_time=Timestamp(seconds=1)),
            ),
            "EarliestTime in StartTimeFilter should not be larger than LatestTime.",
        ),
        (
            api.ListArchivedWorkflowExecutionsRequest(namespace="default"),
            "Cluster is not configured for visibility archival.",
        ),
    ],
)
async def test_a_bad_filter_is_told_why(desk: Desk, request_: Any, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.ask(request_)
    assert refused.value.message == text


async def test_an_attribute_that_another_host_just_added_can_be_asked_for(desk: Desk) -> None:
    await (await desk.elsewhere()).add_search_attributes("default", {"Mood": KEYWORD})
    assert names(await listed(desk, query="Mood = 'blue'")) == []
    await (await desk.elsewhere()).add_search_attributes("default", {"Tone": KEYWORD})
    counted = await desk.ask(api.CountWorkflowExecutionsRequest(namespace="default", query="Tone = 'low'"))
    assert counted.count == 0
    with pytest.raises(InvalidArgument, match=r"^invalid query: invalid search attribute: Taste$"):
        await listed(desk, query="Taste = 'sweet'")
