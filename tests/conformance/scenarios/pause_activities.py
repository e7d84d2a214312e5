"""Activities of paused workflows."""

from typing import Any

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import (
    ScheduleActivityTaskCommandAttributes,
)
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import (
    WorkflowIdConflictPolicy,
)

from tests.conformance.commands import (
    complete_workflow,
    failure,
    schedule_activity,
    seconds,
)
from tests.conformance.pausing import pause, unpause
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING


RETRY = ScheduleActivityTaskCommandAttributes(
    retry_policy=RetryPolicy(initial_interval=seconds(1), backoff_coefficient=1)
)


@scenario
async def pause_activity_scheduled(w: Wire) -> None:
    """An activity that no worker has yet waits."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await pause(w)
    await w.describe()
    await w.no_activity_task()
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def pause_activity_started(w: Wire) -> None:
    """A worker learns with its heartbeat; its result is taken."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    task = await w.activity_task()
    await pause(w)
    await w.describe()
    await w.heartbeat(task)
    await w.complete_activity(task)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_activity_fails(w: Wire) -> None:
    """An attempt that fails while the run is paused is tried again in spite of that."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue, RETRY))
    task = await w.activity_task()
    await pause(w)
    await w.fail_activity(task, failure())
    await w.describe()
    task = await w.activity_task()
    await w.describe()
    await w.complete_activity(task)
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_activity_backs_off(w: Wire) -> None:
    """An attempt that was to be tried again waits for the end of the pause."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue, RETRY))
    await w.fail_activity(await w.activity_task(), failure())
    await pause(w)
    await w.no_activity_task()
    await w.describe()
    await unpause(w)
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def pause_ends_within_back_off(w: Wire) -> None:
    """A pause shorter than an activity's back-off changes nothing."""
    await w.start()
    change = ScheduleActivityTaskCommandAttributes(retry_policy=RetryPolicy(initial_interval=seconds(2)))
    await w.turn(schedule_activity("a", w.queue, change))
    await w.fail_activity(await w.activity_task(), failure())
    await pause(w)
    await unpause(w)
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def pause_activity_times_out(w: Wire) -> None:
    """The times of activities run on: of one that waits, and of one that a worker has."""
    await w.start()
    waits = ScheduleActivityTaskCommandAttributes(
        schedule_to_start_timeout=seconds(1), start_to_close_timeout=seconds(10)
    )
    once = ScheduleActivityTaskCommandAttributes(
        start_to_close_timeout=seconds(1), retry_policy=RetryPolicy(maximum_attempts=1)
    )
    await w.turn(schedule_activity("runs", w.queue, once))
    await w.activity_task()
    await w.signal()
    await w.turn(schedule_activity("waits", w.id("elsewhere"), waits))
    await pause(w)
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_eager_activity(w: Wire) -> None:
    """Is an activity given to the worker that is about to complete its task?"""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    eager = ScheduleActivityTaskCommandAttributes(request_eager_execution=True)
    await w.complete(task, schedule_activity("a", w.queue, eager))
    await w.describe()
    await w.no_activity_task()


def of_activity(w: Wire) -> dict[str, Any]:
    """What requests about the activity say of it."""
    return {"namespace": w.namespace, "execution": w.execution(), "id": "a", "identity": "client"}


@scenario
async def pause_around_paused_activity(w: Wire) -> None:
    """An activity that is paused itself stays so when the run goes on."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.call(w.rpc.PauseActivity, api.PauseActivityRequest(reason="slow", **of_activity(w)))
    await pause(w)
    await w.describe()
    await unpause(w)
    await w.describe()
    await w.no_activity_task()
    await w.call(w.rpc.UnpauseActivity, api.UnpauseActivityRequest(**of_activity(w)))
    await w.activity_task()


@scenario
async def pause_between_pauses_of_activity(w: Wire) -> None:
    """An activity that is paused while the run is paused."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await pause(w)
    await w.call(w.rpc.PauseActivity, api.PauseActivityRequest(reason="slow", **of_activity(w)))
    await w.describe()
    await unpause(w)
    await w.no_activity_task()
    await w.describe()
