"""DescribeTaskQueue's enhanced mode: both types of a queue in one answer, by the builds of workers."""

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import BuildIdTaskReachability, TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueueStats, TaskQueueTypeInfo
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument
from services.rpc import Call, MatchingClient

BOTH_TYPES = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
UNVERSIONED = ""


async def described_by_build(
    matching: MatchingClient, call: Call, request: api.DescribeTaskQueueRequest
) -> api.DescribeTaskQueueResponse:
    """All tasks are unversioned: other builds that are asked for have none. Raises InvalidArgument."""
    if request.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY:
        raise InvalidArgument(
            "Enhanced DescribeTaskQueue is not valid for a sticky queue, use api_mode=UNSPECIFIED or a normal queue."
        )
    asked = request.versions
    response = api.DescribeTaskQueueResponse()
    for build in asked.build_ids:
        for queue_type in request.task_queue_types or BOTH_TYPES:
            stats = TaskQueueStats(approximate_backlog_age=Duration())
            response.versions_info[build].types_info[queue_type].CopyFrom(TaskQueueTypeInfo(stats=stats))
    if asked.unversioned or asked.all_active or not asked.build_ids:
        unversioned = response.versions_info[UNVERSIONED]
        for queue_type in request.task_queue_types or BOTH_TYPES:
            info = await _described(matching, call, request, queue_type)
            unversioned.types_info[queue_type].CopyFrom(info)
        if request.report_task_reachability:
            unversioned.task_reachability = BuildIdTaskReachability.BUILD_ID_TASK_REACHABILITY_REACHABLE
    return response


async def _described(
    matching: MatchingClient, call: Call, request: api.DescribeTaskQueueRequest, queue_type: TaskQueueType.ValueType
) -> TaskQueueTypeInfo:
    plain = api.DescribeTaskQueueRequest(
        namespace=request.namespace, task_queue=request.task_queue, task_queue_type=queue_type, report_stats=True
    )
    described = await matching.describe_task_queue(call, plain)
    return TaskQueueTypeInfo(stats=described.stats, pollers=described.pollers if request.report_pollers else ())
