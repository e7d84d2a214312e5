"""Workflow tasks: failures, time-outs, attempts, sticky queues, and odd completions."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType, EventType, TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.sdk.v1 import WorkflowTaskCompletedMetadata
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue

from tests.conformance.commands import (
    complete_workflow,
    fail_workflow,
    failure,
    record_marker,
    schedule_activity,
    seconds,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.queries import answer, query
from tests.conformance.wire import CALL_LIMIT_S, SILENCE_S, Wire

Completed = api.RespondWorkflowTaskCompletedRequest
Start = api.StartWorkflowExecutionRequest


def stick(w: Wire, wait_s: float = 10) -> Completed:
    """A completion that asks for the next task on the scenario's sticky queue."""
    return Completed(
        sticky_attributes=StickyExecutionAttributes(
            worker_task_queue=TaskQueue(
                name=w.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=w.queue
            ),
            schedule_to_start_timeout=seconds(wait_s),
        )
    )


async def sticky_task(w: Wire, limit_s: float = CALL_LIMIT_S) -> api.PollWorkflowTaskQueueResponse:
    """Poll the scenario's sticky queue."""
    queue = TaskQueue(name=w.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=w.queue)
    request = api.PollWorkflowTaskQueueRequest(namespace=w.namespace, task_queue=queue, identity="worker")
    return await w.call(w.rpc.PollWorkflowTaskQueue, request, limit_s=limit_s)


async def start_and_stick(w: Wire, wait_s: float = 10) -> None:
    """Start a workflow that sticks to a queue which a worker is known to poll: no other is used."""
    await sticky_task(w, SILENCE_S)
    await w.start()
    await w.complete(await w.workflow_task(), change=stick(w, wait_s))


@scenario
async def task_completed_without_commands(w: Wire) -> None:
    """An empty answer is legal; the workflow waits."""
    await w.start()
    await w.turn()
    await w.no_workflow_task()
    await w.describe()


@scenario
async def task_completed_with_metadata(w: Wire) -> None:
    """What an SDK says about itself is kept in the event."""
    await w.start()
    metadata = WorkflowTaskCompletedMetadata(core_used_flags=[1, 2], lang_used_flags=[3], sdk_name="x", sdk_version="1")
    task = await w.workflow_task()
    await w.complete(task, complete_workflow(), change=Completed(sdk_metadata=metadata, binary_checksum="sum"))


@scenario
async def task_fails_once(w: Wire) -> None:
    """A failure is an event with its cause; the next attempt is not, until it completes."""
    await w.start()
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    await w.fail_workflow_task(await w.workflow_task(), cause, failure("oops"))
    task = await w.workflow_task()
    await w.describe()
    await w.complete(task, complete_workflow())


@scenario
async def task_fails_twice(w: Wire) -> None:
    """Further failures leave no event; the task that completes has its attempt."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.fail_workflow_task(await w.workflow_task())
    await w.fail_workflow_task(await w.workflow_task())
    await w.turn(complete_workflow())


@scenario
async def task_times_out(w: Wire) -> None:
    """A worker that says nothing loses its task; its late answer finds nothing."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    late = await w.workflow_task()
    task = await w.workflow_task()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(late, complete_workflow()), note="late")
    await w.complete(task, complete_workflow())


@scenario
async def task_attempt_reset_by_signal(w: Wire) -> None:
    """A signal during a second attempt makes the task after it a first attempt again."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    task = await w.workflow_task()
    await w.signal()
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def task_signalled_between_attempts(w: Wire) -> None:
    """A signal after a failure, before the next attempt is taken."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def task_answered_twice(w: Wire) -> None:
    """A second answer to the same task finds nothing, whatever it says."""
    await w.start()
    task = await w.turn(start_timer("t", 60))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task), note="completed again")
    request = api.RespondWorkflowTaskFailedRequest(namespace=w.namespace, task_token=task.task_token, identity="worker")
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, request, note="failed afterwards")


@scenario
async def task_answered_after_the_close(w: Wire) -> None:
    """An answer after the workflow is gone."""
    await w.start()
    task = await w.workflow_task()
    await w.terminate()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    request = api.RespondWorkflowTaskFailedRequest(namespace=w.namespace, task_token=task.task_token, identity="worker")
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, request)


@scenario
async def task_bad_command_lists(w: Wire) -> None:
    """Lists of commands that cannot be."""
    lists = {
        "close before others": [complete_workflow(), start_timer("t", 60)],
        "two closes": [complete_workflow("one"), complete_workflow("two")],
        "complete and fail": [complete_workflow(), fail_workflow()],
        "no type": [Command()],
        "unknown type": [Command(command_type=CommandType.ValueType(99))],
        "no attributes for complete": [Command(command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)],
        "no attributes for fail": [Command(command_type=CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION)],
        "no attributes for cancel": [Command(command_type=CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION)],
        "no attributes for timer": [Command(command_type=CommandType.COMMAND_TYPE_START_TIMER)],
        "no attributes for activity": [Command(command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)],
        "no attributes for marker": [Command(command_type=CommandType.COMMAND_TYPE_RECORD_MARKER)],
        "good, then bad": [start_timer("t", 60), record_marker("")],
    }
    for index, (note, commands) in enumerate(lists.items()):
        other = w.other(str(index))
        await other.start()
        request = w.completion(await other.workflow_task(), *commands)
        await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request, note=note)


@scenario
async def task_bad_command_on_the_second_attempt(w: Wire) -> None:
    """A bad command is written once; the next attempt's is refused without an event."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    bad = start_timer("", 1)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(await w.workflow_task(), bad))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(await w.workflow_task(), bad))
    await w.turn(complete_workflow())


@scenario
async def task_force_create_new(w: Wire) -> None:
    """A worker that needs more time asks for a new task at once."""
    await w.start()
    task = await w.workflow_task()
    await w.complete(task, change=Completed(force_create_new_workflow_task=True))
    await w.turn(complete_workflow())


@scenario
async def task_return_new(w: Wire) -> None:
    """A new task can come with the reply."""
    await w.start()
    task = await w.workflow_task()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(task, change=change)
    await w.complete(reply.workflow_task, complete_workflow())


@scenario
async def task_return_new_for_a_buffered_signal(w: Wire) -> None:
    """Also when a buffered event asks for it; without one the reply is empty."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    reply = await w.complete(task, change=Completed(return_new_workflow_task=True))
    await w.complete(reply.workflow_task, change=Completed(return_new_workflow_task=True))
    await w.no_workflow_task()


@scenario
async def task_markers(w: Wire) -> None:
    """Markers are events with their details."""
    await w.start()
    await w.turn(record_marker("one", key="value", other="thing"), record_marker("two"), complete_workflow())


@scenario
async def task_eager_activity(w: Wire) -> None:
    """An activity that asks for it comes with the reply."""
    await w.start()
    task = await w.workflow_task()
    command = schedule_activity("a", w.queue)
    command.schedule_activity_task_command_attributes.request_eager_execution = True
    reply = await w.complete(task, command)
    await w.complete_activity(reply.activity_tasks[0])
    await w.turn(complete_workflow())


@scenario
async def sticky_task_has_new_events_only(w: Wire) -> None:
    """The sticky queue gets the events since the last task."""
    await start_and_stick(w)
    await w.describe()
    await w.signal()
    await w.complete(await sticky_task(w), change=stick(w))
    await w.signal()
    await w.complete(await sticky_task(w), complete_workflow())


@scenario
async def sticky_dropped_by_a_plain_completion(w: Wire) -> None:
    """A completion without sticky attributes brings the workflow back to its normal queue."""
    await start_and_stick(w)
    await w.signal()
    await w.complete(await sticky_task(w))
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def sticky_task_not_taken(w: Wire) -> None:
    """A task nobody takes from the sticky queue in time goes to the normal one, with all events."""
    await start_and_stick(w, 1)
    await w.signal()
    await w.complete(await sticky_task(w), change=stick(w, 1))
    await w.signal()
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    await w.turn(complete_workflow())


@scenario
async def sticky_task_fails(w: Wire) -> None:
    """A failure on the sticky queue goes back to the normal queue."""
    await start_and_stick(w)
    await w.signal()
    await w.fail_workflow_task(await sticky_task(w))
    await w.turn(complete_workflow())


@scenario
async def sticky_reset(w: Wire) -> None:
    """ResetStickyTaskQueue brings the next task to the normal queue; on unknown and closed workflows it says so."""
    await start_and_stick(w)
    request = api.ResetStickyTaskQueueRequest(namespace=w.namespace, execution=w.execution())
    await w.call(w.rpc.ResetStickyTaskQueue, request)
    await w.signal()
    await w.turn(complete_workflow())
    await w.attempt(w.rpc.ResetStickyTaskQueue, request, note="closed")
    unknown = api.ResetStickyTaskQueueRequest(namespace=w.namespace, execution=w.execution("nobody"))
    await w.attempt(w.rpc.ResetStickyTaskQueue, unknown, note="unknown")


@scenario
async def sticky_worker_shuts_down(w: Wire) -> None:
    """After ShutdownWorker tasks do not wait on its sticky queue."""
    await start_and_stick(w)
    await w.signal()
    await w.complete(await sticky_task(w), change=stick(w))
    request = api.ShutdownWorkerRequest(
        namespace=w.namespace, sticky_task_queue=w.id("sticky"), identity="worker", reason="done"
    )
    await w.call(w.rpc.ShutdownWorker, request)
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def sticky_query(w: Wire) -> None:
    """A query of a sticky workflow goes to its sticky queue, without history."""
    await start_and_stick(w)
    asked = asyncio.create_task(w.attempt(w.rpc.QueryWorkflow, query(w)))
    await w.call(w.rpc.RespondQueryTaskCompleted, answer(w, await sticky_task(w)))
    await asked
