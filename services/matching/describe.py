"""What operators see of a queue."""

from collections.abc import Iterable, Sequence

from temporalio.api.enums.v1 import RateLimitSource
from temporalio.api.taskqueue.v1 import PollerInfo, TaskIdBlock, TaskQueueStats, TaskQueueStatus
from temporalio.api.workflowservice import v1 as api

from services.matching.backlog import TASKS_PER_RANGE_BITS
from services.matching.queue import QueuePartition
from services.runtime import Clock

UNVERSIONED = "__unversioned__"
YEAR_1_S = -62_135_596_800  # the reference's zero time
PRIORITY_DEFAULT = 3


def describe(
    queue: QueuePartition, request: api.DescribeTaskQueueRequest, clock: Clock
) -> api.DescribeTaskQueueResponse:
    """The plain mode's answer of one partition: pollers always, status and statistics when asked for."""
    response = api.DescribeTaskQueueResponse(pollers=queue.history.pollers(clock.now_ns()))
    response.versioning_info.current_version = UNVERSIONED
    response.versioning_info.update_time.seconds = YEAR_1_S
    limit = queue.queue_rate()
    response.effective_rate_limit.requests_per_second = limit
    response.effective_rate_limit.rate_limit_source = (
        RateLimitSource.RATE_LIMIT_SOURCE_WORKER
        if limit < queue.settings.now.dispatch_per_s_max
        else RateLimitSource.RATE_LIMIT_SOURCE_SYSTEM
    )
    if request.include_task_queue_status:
        response.task_queue_status.CopyFrom(_status(queue))
    if request.report_stats:
        _set_stats(response, _stats(queue, clock))
    return response


def add_others(response: api.DescribeTaskQueueResponse, others: Sequence[api.DescribeTaskQueueResponse]) -> None:
    """Makes the root's answer that of the whole queue. Read and ack levels and the task ids stay the root's."""
    if not others:
        return
    pollers = _latest(poller for part in (response, *others) for poller in part.pollers)
    del response.pollers[:]
    response.pollers.extend(pollers)
    for other in others if response.HasField("task_queue_status") else ():
        response.task_queue_status.backlog_count_hint += other.task_queue_status.backlog_count_hint
    if response.HasField("stats"):
        _set_stats(response, _total([response.stats, *(other.stats for other in others)]))


def _latest(pollers: Iterable[PollerInfo]) -> Sequence[PollerInfo]:
    """Each identity's latest poll, the latest first."""
    known: dict[str, PollerInfo] = {}
    for poller in sorted(pollers, key=_accessed):
        known.pop(poller.identity, None)
        known[poller.identity] = poller
    return list(reversed(known.values()))


def _accessed(poller: PollerInfo) -> int:
    return poller.last_access_time.ToNanoseconds()


def _total(parts: Sequence[TaskQueueStats]) -> TaskQueueStats:
    total = TaskQueueStats(
        approximate_backlog_count=sum(part.approximate_backlog_count for part in parts),
        tasks_add_rate=sum(part.tasks_add_rate for part in parts),
        tasks_dispatch_rate=sum(part.tasks_dispatch_rate for part in parts),
        rate_limiting_active=any(part.rate_limiting_active for part in parts),
    )
    total.approximate_backlog_age.FromNanoseconds(max(part.approximate_backlog_age.ToNanoseconds() for part in parts))
    return total


def _status(queue: QueuePartition) -> TaskQueueStatus:
    backlog = queue.backlog
    status = TaskQueueStatus(
        backlog_count_hint=backlog.count,
        read_level=backlog.read_level,
        ack_level=backlog.ack_level,
        rate_per_second=queue.queue_rate(),
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
    stats.approximate_backlog_age.FromNanoseconds(int(queue.backlog_age_s() * 1e9))
    return stats


def _set_stats(response: api.DescribeTaskQueueResponse, stats: TaskQueueStats) -> None:
    response.stats.CopyFrom(stats)
    response.stats_by_priority_key[PRIORITY_DEFAULT].CopyFrom(stats)
