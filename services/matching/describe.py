"""What operators see of a queue."""

from temporalio.api.enums.v1 import RateLimitSource
from temporalio.api.taskqueue.v1 import TaskIdBlock, TaskQueueStats, TaskQueueStatus
from temporalio.api.workflowservice import v1 as api

from services.matching.backlog import TASKS_PER_RANGE_BITS
from services.matching.queue import QueuePartition
from services.matching.settings import MatchingSettings
from services.runtime import Clock

UNVERSIONED = "__unversioned__"
YEAR_1_S = -62_135_596_800  # the reference's zero time
PRIORITY_DEFAULT = 3


def describe(
    queue: QueuePartition, request: api.DescribeTaskQueueRequest, settings: MatchingSettings, clock: Clock
) -> api.DescribeTaskQueueResponse:
    """The plain mode's answer: pollers always, status and statistics when asked for."""
    response = api.DescribeTaskQueueResponse(pollers=queue.history.pollers(clock.now_ns()))
    response.versioning_info.current_version = UNVERSIONED
    response.versioning_info.update_time.seconds = YEAR_1_S
    limit = queue.limit.rate
    response.effective_rate_limit.requests_per_second = limit
    response.effective_rate_limit.rate_limit_source = (
        RateLimitSource.RATE_LIMIT_SOURCE_WORKER
        if limit < settings.dispatch_per_s_max
        else RateLimitSource.RATE_LIMIT_SOURCE_SYSTEM
    )
    if request.include_task_queue_status:
        response.task_queue_status.CopyFrom(_status(queue))
    if request.report_stats:
        stats = _stats(queue, clock)
        response.stats.CopyFrom(stats)
        response.stats_by_priority_key[PRIORITY_DEFAULT].CopyFrom(stats)
    return response


def _status(queue: QueuePartition) -> TaskQueueStatus:
    backlog = queue.backlog
    status = TaskQueueStatus(
        backlog_count_hint=backlog.count,
        read_level=backlog.read_level,
        ack_level=backlog.ack_level,
        rate_per_second=queue.limit.rate,
    )
    if backlog.range_id:
        first = backlog.range_id << TASKS_PER_RANGE_BITS
        status.task_id_block.CopyFrom(TaskIdBlock(start_id=first + 1, end_id=first + (1 << TASKS_PER_RANGE_BITS) - 1))
    return status


def _stats(queue: QueuePartition, clock: Clock) -> TaskQueueStats:
    now = clock.monotonic()
    stats = TaskQueueStats(
        approximate_backlog_count=queue.backlog.count,
        tasks_add_rate=queue.adds.per_second(now),
        tasks_dispatch_rate=queue.dispatches.per_second(now),
        rate_limiting_active=queue.is_limited(),
    )
    stats.approximate_backlog_age.FromNanoseconds(int(queue.backlog.age_s() * 1e9))
    return stats
