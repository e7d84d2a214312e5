"""DescribeTaskQueue's enhanced mode, composed of plain descriptions."""

import pytest
import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import BuildIdTaskReachability, DescribeTaskQueueMode, TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue, TaskQueueStats, TaskQueueVersionSelection

from services.errors import InvalidArgument
from tests.unit.frontend.conftest import Desk

WORKFLOW, ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


def enhanced(queue: TaskQueue | None = None) -> api.DescribeTaskQueueRequest:
    return api.DescribeTaskQueueRequest(
        namespace="default",
        task_queue=queue or TaskQueue(name="q"),
        api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
    )


@pytest.fixture
def busy(desk: Desk) -> Desk:
    desk.matching.answers["describe_task_queue"] = api.DescribeTaskQueueResponse(
        pollers=[PollerInfo(identity="worker")], stats=TaskQueueStats(approximate_backlog_count=7)
    )
    return desk


async def test_both_types_with_their_statistics(busy: Desk) -> None:
    answer = await busy.ask(enhanced())
    assert list(answer.versions_info) == [""]
    types = answer.versions_info[""].types_info
    assert {each: info.stats.approximate_backlog_count for each, info in types.items()} == {WORKFLOW: 7, ACTIVITY: 7}
    assert not types[WORKFLOW].pollers
    asked = [request for _, request in busy.matching.requests]
    assert [(each.task_queue_type, each.api_mode, each.report_stats) for each in asked] == [
        (WORKFLOW, 0, True),
        (ACTIVITY, 0, True),
    ]


async def test_pollers_and_reachability_when_asked_for(busy: Desk) -> None:
    request = enhanced()
    request.task_queue_types.append(ACTIVITY)
    request.report_pollers = request.report_task_reachability = True
    unversioned = (await busy.ask(request)).versions_info[""]
    assert list(unversioned.types_info) == [ACTIVITY]
    assert [each.identity for each in unversioned.types_info[ACTIVITY].pollers] == ["worker"]
    assert unversioned.task_reachability == BuildIdTaskReachability.BUILD_ID_TASK_REACHABILITY_REACHABLE


async def test_a_build_has_no_tasks(busy: Desk) -> None:
    request = enhanced()
    request.versions.CopyFrom(TaskQueueVersionSelection(build_ids=["1.0"]))
    answer = await busy.ask(request)
    assert list(answer.versions_info) == ["1.0"]
    assert answer.versions_info["1.0"].types_info[WORKFLOW].stats.approximate_backlog_count == 0


async def test_a_sticky_queue_has_no_enhanced_description(busy: Desk) -> None:
    sticky = TaskQueue(name="q", normal_name="n", kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY)
    with pytest.raises(InvalidArgument, match="Enhanced DescribeTaskQueue is not valid for a sticky queue"):
        await busy.ask(enhanced(sticky))
