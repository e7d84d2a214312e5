"""What a poll response says of its queue: how much waits there, and whether more or fewer pollers would do."""

from temporalio.api.taskqueue.v1 import PollerScalingDecision
from temporalio.api.workflowservice import v1 as api

from services.matching.queue import QueuePartition


def _decision(delta: int) -> PollerScalingDecision:
    return PollerScalingDecision(poll_request_delta_suggestion=delta)


_WORKFLOW_DELTA = {
    0: b"",
    1: api.PollWorkflowTaskQueueResponse(poller_scaling_decision=_decision(1)).SerializeToString(),
    -1: api.PollWorkflowTaskQueueResponse(poller_scaling_decision=_decision(-1)).SerializeToString(),
}
_ACTIVITY_DELTA = {
    0: b"",
    1: api.PollActivityTaskQueueResponse(poller_scaling_decision=_decision(1)).SerializeToString(),
    -1: api.PollActivityTaskQueueResponse(poller_scaling_decision=_decision(-1)).SerializeToString(),
}


def workflow_hints(queue: QueuePartition, waited_s: float, now: float) -> bytes:
    """Serialized fields to append to a PollWorkflowTaskQueueResponse."""
    hints = _WORKFLOW_DELTA[_pollers_delta(queue, waited_s, now)]
    if queue.backlog.count > 0:
        hints += api.PollWorkflowTaskQueueResponse(backlog_count_hint=queue.backlog.count).SerializeToString()
    return hints


def activity_hints(queue: QueuePartition, waited_s: float, now: float) -> bytes:
    """Serialized fields to append to a PollActivityTaskQueueResponse."""
    return _ACTIVITY_DELTA[_pollers_delta(queue, waited_s, now)]


def _pollers_delta(queue: QueuePartition, waited_s: float, now: float) -> int:
    """-1 from a poller that waited long; +1, a few times a second, when tasks wait or come faster than they go."""
    settings = queue.settings.now
    if waited_s >= settings.scaling_poll_wait_s:
        return -1
    if queue.scaling.wait_s(now) > 0:
        return 0
    queue.scaling.take()
    if queue.backlog.count > 0 and queue.backlog_age_s() > settings.scaling_backlog_age_s:
        return 1
    dispatched = queue.dispatches.per_second(now)
    return int(dispatched > 0 and queue.adds.per_second(now) / dispatched > settings.scaling_add_to_dispatch)
