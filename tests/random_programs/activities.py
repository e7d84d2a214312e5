"""Activities of random programs: what kinds there are, and what workers do with their tasks."""

from random import Random
from typing import NamedTuple, TypeVar

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.common.v1 import Header, Priority, RetryPolicy
from temporalio.api.workflow.v1 import PendingActivityInfo

from tests.conformance.commands import failure, payload, payloads, schedule_activity, seconds
from tests.random_programs.story import Flow, Story

SHORT_S = 0.5
"""A time-out that comes while the program waits for it."""

LONG = seconds(200)
QUICK = RetryPolicy(initial_interval=seconds(0.05), backoff_coefficient=1, maximum_attempts=3)
FAR = RetryPolicy(initial_interval=seconds(60), backoff_coefficient=3, maximum_interval=seconds(100))
ONCE = RetryPolicy(maximum_attempts=1)

# Kind (the activity's id begins with it) -> what is special about it.
KINDS: dict[str, Schedule] = {
    "plain": Schedule(
        retry_policy=ONCE, start_to_close_timeout=LONG, input=payloads("in"), priority=Priority(priority_key=2)
    ),
    "default": Schedule(schedule_to_close_timeout=seconds(100)),
    "retried": Schedule(
        retry_policy=QUICK, start_to_close_timeout=LONG, header=Header(fields={"trace": payload("on")})
    ),
    "patient": Schedule(retry_policy=FAR, start_to_close_timeout=LONG),
    "untaken": Schedule(retry_policy=ONCE, start_to_close_timeout=LONG, schedule_to_start_timeout=seconds(SHORT_S)),
    "unending": Schedule(
        retry_policy=RetryPolicy(initial_interval=seconds(0.05), maximum_attempts=2),
        start_to_close_timeout=seconds(SHORT_S),
    ),
    "silent": Schedule(retry_policy=ONCE, start_to_close_timeout=LONG, heartbeat_timeout=seconds(SHORT_S)),
    "overdue": Schedule(retry_policy=QUICK, schedule_to_close_timeout=seconds(2 * SHORT_S)),
    "eager": Schedule(retry_policy=QUICK, start_to_close_timeout=LONG, request_eager_execution=True),
}
UNTAKEN = ("untaken", "overdue")  # nobody takes it: it times out in the queue
UNENDING = ("unending", "silent")  # its worker is not heard of again


ById = TypeVar(
    "ById",
    api.RespondActivityTaskCompletedByIdRequest,
    api.RespondActivityTaskFailedByIdRequest,
    api.RespondActivityTaskCanceledByIdRequest,
    api.RecordActivityTaskHeartbeatByIdRequest,
)


class ByIdOf(NamedTuple):
    """An activity as those name it who have no task of it."""

    namespace: str
    workflow_id: str
    run_id: str
    activity_id: str

    def lay(self, request: ById) -> ById:
        """The request with its name."""
        request.namespace, request.workflow_id = self.namespace, self.workflow_id
        request.run_id, request.activity_id = self.run_id, self.activity_id
        return request


def kind_of(activity_id: str) -> str:
    """What kind of activity has this id."""
    return activity_id.rstrip("0123456789")


def queue_of(flow: Flow, activity_id: str) -> str:
    """Every activity has a queue of its own, so which one a poll finds is known; an eager one has its workflow's."""
    return flow.w.queue if kind_of(activity_id) == "eager" else flow.w.id(activity_id)


def random_activity(flow: Flow, dice: Random) -> tuple[str, Command]:
    """A new activity's id and the command that schedules it."""
    kind = dice.choice(list(KINDS))
    activity_id = flow.new_id(kind)
    return activity_id, schedule_activity(activity_id, queue_of(flow, activity_id), KINDS[kind])


def workable(flow: Flow) -> list[PendingActivityInfo]:
    """Activities whose tasks a poll would find, and no other's instead."""
    waiting = flow.unstarted_activities()
    eager = [each for each in waiting if kind_of(each.activity_id) == "eager"]
    return [each for each in waiting if each not in eager or (len(eager) == 1 and not flow.task_waits)]


async def work(_: Story, flow: Flow, dice: Random) -> None:
    """A worker takes an activity task."""
    activity = dice.choice(workable(flow))
    task = await flow.w.activity_task(queue_of(flow, activity.activity_id))
    flow.in_hand[activity.activity_id] = task
    if kind_of(activity.activity_id) in UNENDING:
        flow.short[activity.activity_id] = activity.attempt


async def respond(_: Story, flow: Flow, dice: Random) -> None:
    """A worker answers an activity task that it has, or that it had before the activity timed out."""
    activity_id = dice.choice(sorted(flow.in_hand))
    task = flow.in_hand[activity_id]
    token = task.task_token
    w, rpc = flow.w, flow.w.rpc
    details = payloads(f"from attempt {task.attempt}")
    match dice.choices(("complete", "fail", "fail for good", "delay", "cancel", "heartbeat"), (4, 4, 1, 1, 2, 3))[0]:
        case "complete":
            await w.attempt(
                rpc.RespondActivityTaskCompleted,
                api.RespondActivityTaskCompletedRequest(
                    namespace=w.namespace, task_token=token, result=details, identity="worker"
                ),
            )
        case "cancel":
            await w.attempt(
                rpc.RespondActivityTaskCanceled,
                api.RespondActivityTaskCanceledRequest(
                    namespace=w.namespace, task_token=token, details=details, identity="worker"
                ),
            )
        case "heartbeat":
            await w.attempt(
                rpc.RecordActivityTaskHeartbeat,
                api.RecordActivityTaskHeartbeatRequest(
                    namespace=w.namespace, task_token=token, details=details, identity="worker"
                ),
            )
            return
        case why:
            reason = failure(non_retryable=why == "fail for good")
            if why == "delay":
                reason = failure(next_retry_delay=seconds(0.1))
            request = api.RespondActivityTaskFailedRequest(
                namespace=w.namespace, task_token=token, failure=reason, identity="worker"
            )
            if dice.random() < 0.3:
                request.last_heartbeat_details.CopyFrom(payloads("last words"))
            await w.attempt(rpc.RespondActivityTaskFailed, request)
    del flow.in_hand[activity_id]


async def respond_by_id(_: Story, flow: Flow, dice: Random) -> None:
    """Somebody who knows only the activity's id answers, whether a worker has taken it or not."""
    known = [*sorted({each.activity_id for each in flow.activities()} | set(flow.in_hand)), "unheard"]
    where = ByIdOf(flow.w.namespace, flow.w.name, dice.choice(("", flow.run_id)), dice.choice(known))
    rpc, attempt = flow.w.rpc, flow.w.attempt
    match dice.choice(("complete", "fail", "cancel", "heartbeat")):
        case "complete":
            completed = api.RespondActivityTaskCompletedByIdRequest(result=payloads("by id"), identity="x")
            await attempt(rpc.RespondActivityTaskCompletedById, where.lay(completed))
        case "fail":
            failed = api.RespondActivityTaskFailedByIdRequest(failure=failure("by id"), identity="x")
            await attempt(rpc.RespondActivityTaskFailedById, where.lay(failed))
        case "cancel":
            cancelled = api.RespondActivityTaskCanceledByIdRequest(details=payloads("by id"), identity="x")
            await attempt(rpc.RespondActivityTaskCanceledById, where.lay(cancelled))
        case _:
            heartbeat = api.RecordActivityTaskHeartbeatByIdRequest(details=payloads("by id"), identity="x")
            await attempt(rpc.RecordActivityTaskHeartbeatById, where.lay(heartbeat))
