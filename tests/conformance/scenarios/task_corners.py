"""Workflow tasks in their corners: rows of attempts, stickiness that is lost, heartbeats, tokens that are stale."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.enums.v1 import EventType, TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue

from tests.conformance.commands import (
    complete_workflow,
    continue_as_new,
    failure,
    oversize,
    record_marker,
    schedule_activity,
    seconds,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.deletion import delete_request, until_gone
from tests.conformance.scenarios.updates import accept, admitted, ask, respond, update
from tests.conformance.scenarios.visibility import has, listing
from tests.conformance.scenarios.workflow_task import Completed, Start, start_and_stick, stick, sticky_task
from tests.conformance.wire import Wire

Task = api.PollWorkflowTaskQueueResponse
Cause = WorkflowTaskFailedCause

BAD = start_timer("", 1)
BRISK = Start(workflow_task_timeout=seconds(1))


async def refused(w: Wire, request: Completed, note: str = "") -> None:
    """A completion that is expected to fail."""
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request, note=note)


def failed(w: Wire, task: Task, cause: str = "UNHANDLED_COMMAND") -> api.RespondWorkflowTaskFailedRequest:
    """A worker's word that a task failed."""
    return api.RespondWorkflowTaskFailedRequest(
        namespace=w.namespace,
        task_token=task.task_token,
        cause=Cause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{cause}"),
        identity="worker",
    )


async def task_of_attempt(w: Wire, number: int) -> Task:
    """Fail the tasks before, and take the one of this attempt."""
    for _ in range(number - 1):
        await w.fail_workflow_task(await w.workflow_task())
    return await w.workflow_task()


@scenario
async def task_attempts_get_longer(w: Wire) -> None:
    """From the fourth attempt on a task has more time; the run tells of its problems after the fifth."""
    await w.start()
    task = await task_of_attempt(w, 4)
    await w.describe()
    await w.fail_workflow_task(task)
    await w.fail_workflow_task(await w.workflow_task())
    await w.describe()
    await w.complete(await w.workflow_task(), start_timer("t", 60))
    await w.describe()


@scenario
async def task_problems_are_reported(w: Wire) -> None:
    """After problems in a row (two here) the run says what they are, until a task is completed."""
    await w.start(BRISK)
    await w.fail_workflow_task(await w.workflow_task())
    await w.describe()
    await w.workflow_task()
    task = await w.workflow_task()
    await w.describe()
    await w.fail_workflow_task(task, Cause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR)
    await w.describe()
    await w.turn(start_timer("t", 60))
    await w.describe()


@scenario
async def task_problems_are_listed(w: Wire) -> None:
    """Lists find the run by its problems, until a task is completed."""
    problem = "TemporalReportedProblems = 'category=WorkflowTaskFailed'"
    request = listing(w, f"WorkflowId = '{w.name}' AND {problem}")
    await w.start()
    task = await task_of_attempt(w, 3)
    await w.until(w.rpc.ListWorkflowExecutions, request, has(1))
    await w.complete(task, start_timer("t", 60))
    await w.until(w.rpc.ListWorkflowExecutions, request, has(0))


@scenario
async def task_problems_are_not_inherited(w: Wire) -> None:
    """The next run begins without; a run that is closed from outside keeps them."""
    await w.start()
    await w.complete(await task_of_attempt(w, 3), continue_as_new())
    await w.turn(complete_workflow())
    await w.describe()
    other = w.other("terminated")
    await other.start()
    await task_of_attempt(other, 3)
    await other.terminate()
    await other.describe()


@scenario
async def task_of_a_later_attempt_times_out(w: Wire) -> None:
    """A second attempt that times out leaves no event."""
    await w.start(BRISK)
    await w.fail_workflow_task(await w.workflow_task())
    await w.workflow_task()
    task = await w.workflow_task()
    await w.describe()
    await w.complete(task, complete_workflow())


@scenario
async def task_of_a_later_attempt_fails_over_a_signal(w: Wire) -> None:
    """A signal during a second attempt that fails: the next one is a first attempt."""
    await w.start()
    task = await task_of_attempt(w, 2)
    await w.signal()
    await w.fail_workflow_task(task)
    await w.turn(complete_workflow())


@scenario
async def task_of_a_later_attempt_times_out_over_a_signal(w: Wire) -> None:
    """A signal during a second attempt that times out."""
    await w.start(BRISK)
    await task_of_attempt(w, 2)
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def task_of_a_later_attempt_closes_over_a_signal(w: Wire) -> None:
    """UnhandledCommand on a second attempt."""
    await w.start()
    task = await task_of_attempt(w, 2)
    await w.signal()
    await refused(w, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def task_of_a_later_attempt_is_bad_over_a_signal(w: Wire) -> None:
    """A bad command on a second attempt is refused and nothing else; the task times out."""
    await w.start(BRISK)
    task = await task_of_attempt(w, 2)
    await w.signal()
    await refused(w, w.completion(task, BAD), "bad")
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def task_of_a_later_attempt_is_too_large(w: Wire) -> None:
    """A command over the limit, which ends a workflow on a first attempt, is only refused on a second one."""
    await w.start()
    task = await task_of_attempt(w, 2)
    marker = record_marker("m")
    marker.record_marker_command_attributes.details["big"].CopyFrom(oversize())
    await refused(w, w.completion(task, marker))
    await w.terminate()


@scenario
async def task_of_a_later_attempt_when_terminated(w: Wire) -> None:
    """Terminated with a second attempt in hand, and with one that waits."""
    await w.start()
    await task_of_attempt(w, 2)
    await w.signal()
    await w.terminate()
    other = w.other("waiting")
    await other.start()
    await other.fail_workflow_task(await other.workflow_task())
    await other.terminate()


@scenario
async def task_of_a_later_attempt_is_continued(w: Wire) -> None:
    """A completion resets the count of attempts; so the task after it fails with an event again."""
    await w.start()
    await w.complete(await task_of_attempt(w, 3), change=Completed(force_create_new_workflow_task=True))
    await w.fail_workflow_task(await w.workflow_task())
    await w.turn(complete_workflow())


@scenario
async def task_of_a_later_attempt_is_followed_in_the_reply(w: Wire) -> None:
    """The next task comes with the reply of a second attempt."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(await task_of_attempt(w, 2), start_timer("t", 60), change=change)
    await w.complete(reply.workflow_task, complete_workflow())


@scenario
async def task_failed_for_every_cause(w: Wire) -> None:
    """What a worker may give as the cause, and what it does to the workflow."""
    names = [name.removeprefix("WORKFLOW_TASK_FAILED_CAUSE_") for name in sorted(dict(Cause.items()), key=Cause.Value)]
    for name in names:
        other = w.other(name.lower())
        await other.start()
        await other.attempt(w.rpc.RespondWorkflowTaskFailed, failed(other, await other.workflow_task(), name))
        await other.describe()


@scenario
async def task_failed_at_length(w: Wire) -> None:
    """A failure over the limit of a blob."""
    await w.start()
    request = failed(w, await w.workflow_task())
    request.failure.CopyFrom(failure("x" * 10_000))
    request.failure.application_failure_info.details.CopyFrom(oversize())
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, request)
    await w.turn(complete_workflow())


@scenario
async def task_tokens_that_are_stale(w: Wire) -> None:
    """Tokens of another attempt, another task, another namespace, and of no task at all."""
    await w.start()
    first = await w.workflow_task()
    await w.fail_workflow_task(first)
    second = await w.workflow_task()
    await refused(w, w.completion(first, complete_workflow()), "of the first attempt")
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, failed(w, first), note="of the first attempt, failed")
    await w.complete(second, schedule_activity("a", w.queue))
    await w.signal()
    third = await w.workflow_task()
    await refused(w, w.completion(second), "of the task before")
    elsewhere = w.completion(third)
    elsewhere.namespace = "temporal-system"
    await refused(w, elsewhere, "in another namespace")
    activity = await w.activity_task()
    await refused(w, Completed(namespace=w.namespace, task_token=activity.task_token), "of an activity")
    mixed_up = api.RespondActivityTaskCompletedRequest(namespace=w.namespace, task_token=third.task_token)
    await w.attempt(w.rpc.RespondActivityTaskCompleted, mixed_up, note="of a workflow task")
    await w.complete(third, complete_workflow())


@scenario
async def task_token_of_a_deleted_workflow(w: Wire) -> None:
    """The workflow is gone, with its task in hand."""
    await w.start()
    task = await w.workflow_task()
    await w.call(w.rpc.DeleteWorkflowExecution, delete_request(w))
    await until_gone(w)
    await refused(w, w.completion(task, complete_workflow()))
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, failed(w, task))


@scenario
async def task_token_of_the_run_before(w: Wire) -> None:
    """A task of a run that another run followed."""
    await w.start()
    task = await w.workflow_task()
    await w.terminate()
    await w.start(Start(request_id="again"))
    await refused(w, w.completion(task, complete_workflow()))
    await w.attempt(w.rpc.RespondWorkflowTaskFailed, failed(w, task))
    await w.turn(complete_workflow())


@scenario
async def heartbeat_with_commands(w: Wire) -> None:
    """A new task at once, with commands in the completion."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True)
    await w.complete(await w.workflow_task(), start_timer("t", 60), change=change)
    await w.complete(await w.workflow_task(), change=change)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def heartbeat_with_the_close(w: Wire) -> None:
    """Nothing follows a completion that closes the workflow, whatever it asks for."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    await w.complete(await w.workflow_task(), complete_workflow(), change=change)
    await w.describe()


@scenario
async def heartbeat_with_continue_as_new(w: Wire) -> None:
    """The same for a workflow that continues as new."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    await w.complete(await w.workflow_task(), continue_as_new(), change=change)


@scenario
async def heartbeat_too_long(w: Wire) -> None:
    """A worker that only asks for more time loses its task after a while (set to two seconds here)."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True)
    await w.complete(await w.workflow_task(), change=change)
    task = await w.workflow_task()
    await w.let_time_pass(2)
    await refused(w, w.completion(task, change=change), "too long")
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def heartbeat_too_long_with_a_signal(w: Wire) -> None:
    """What was buffered meanwhile follows the time-out."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True)
    await w.complete(await w.workflow_task(), change=change)
    task = await w.workflow_task()
    await w.signal()
    await w.let_time_pass(2)
    await refused(w, w.completion(task, change=change), "too long")
    await w.turn(complete_workflow())


@scenario
async def heartbeat_long_ended_by_a_command(w: Wire) -> None:
    """A command is progress: the time starts anew."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(await w.workflow_task(), change=change)
    await w.let_time_pass(2)
    reply = await w.complete(reply.workflow_task, record_marker("m"), change=change)
    reply = await w.complete(reply.workflow_task, change=change)
    await w.complete(reply.workflow_task, complete_workflow())


@scenario
async def heartbeat_with_an_update(w: Wire) -> None:
    """An update that comes between two heartbeats."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(await w.workflow_task(), change=change)
    asked = ask(w, update(w))
    await admitted(w)
    task = (await w.complete(reply.workflow_task, change=change)).workflow_task
    change.messages.extend([accept(task), respond()])
    reply = await w.complete(task, change=change)
    await asked
    await w.complete(reply.workflow_task, complete_workflow())


@scenario
async def sticky_task_taken_and_lost(w: Wire) -> None:
    """A task that a sticky worker takes and keeps ends the stickiness; its successor is a first attempt."""
    await sticky_task(w, 3)
    await w.start(BRISK)
    await w.complete(await w.workflow_task(), change=stick(w))
    await w.signal()
    await sticky_task(w)
    await w.fail_workflow_task(await w.workflow_task())
    await w.turn(complete_workflow())


@scenario
async def sticky_bad_command(w: Wire) -> None:
    """A bad command on the sticky queue; then one on the normal queue; then a good one."""
    await start_and_stick(w)
    await w.signal()
    await refused(w, w.completion(await sticky_task(w), BAD))
    await refused(w, w.completion(await w.workflow_task(), BAD))
    await w.describe()


@scenario
async def sticky_close_over_a_signal(w: Wire) -> None:
    """UnhandledCommand on the sticky queue."""
    await start_and_stick(w)
    await w.signal()
    task = await sticky_task(w)
    await w.signal()
    await refused(w, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def sticky_reset_with_a_task_in_hand(w: Wire) -> None:
    """Its completion may stick again; its failure after the reset counts as an attempt."""
    await start_and_stick(w)
    request = api.ResetStickyTaskQueueRequest(namespace=w.namespace, execution=w.execution())
    await w.signal()
    task = await sticky_task(w)
    await w.call(w.rpc.ResetStickyTaskQueue, request)
    await w.complete(task, change=stick(w))
    await w.signal()
    task = await sticky_task(w)
    await w.call(w.rpc.ResetStickyTaskQueue, request)
    await w.fail_workflow_task(task)
    await w.turn(complete_workflow())


@scenario
async def sticky_task_in_the_reply(w: Wire) -> None:
    """A task that comes with the reply has the history since the last one, sticky or not."""
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(await w.workflow_task(), start_timer("t", 60), change=change)
    change.MergeFrom(stick(w))
    reply = await w.complete(reply.workflow_task, record_marker("m"), change=change)
    await w.complete(reply.workflow_task, complete_workflow())


@scenario
async def sticky_kinds(w: Wire) -> None:
    """A sticky queue without a name, without a time, and of the wrong kind."""
    changes = {
        "no name": StickyExecutionAttributes(schedule_to_start_timeout=seconds(10)),
        "no time": StickyExecutionAttributes(worker_task_queue=TaskQueue(name=w.id("a"))),
        "normal": StickyExecutionAttributes(
            worker_task_queue=TaskQueue(name=w.id("b"), kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
            schedule_to_start_timeout=seconds(1),
        ),
    }
    for index, (note, attributes) in enumerate(changes.items()):
        other = w.other(str(index))
        await other.start()
        task = await other.workflow_task()
        await refused(other, other.completion(task, change=Completed(sticky_attributes=attributes)), note)
        await other.describe()


@scenario
async def task_suggests_to_continue_as_new(w: Wire) -> None:
    """A history of many events (set to 60 here)."""
    await w.start()
    task = await w.turn(*(record_marker("m") for _ in range(54)))
    await w.signal()
    task = await w.workflow_task()
    await w.complete(task, record_marker("m"), change=Completed(force_create_new_workflow_task=True))
    await w.turn(complete_workflow())


@scenario
async def task_with_history_in_pages(w: Wire) -> None:
    """A history of more events than a reply has: the rest is read by its page token."""
    await w.start()
    for _ in range(3):
        task = await w.workflow_task()
        change = Completed(force_create_new_workflow_task=True)
        await w.unrecorded(
            w.rpc.RespondWorkflowTaskCompleted,
            w.completion(task, *(record_marker("m") for _ in range(100)), change=change),
        )
    task = await w.workflow_task()
    w.note(f"{len(task.history.events)} events came with the task")
    request = api.GetWorkflowExecutionHistoryRequest(
        namespace=w.namespace, execution=w.execution(), next_page_token=task.next_page_token
    )
    while request.next_page_token:
        page = await w.unrecorded(w.rpc.GetWorkflowExecutionHistory, request)
        w.note(f"{len(page.history.events)} more")
        request.next_page_token = page.next_page_token
    await w.complete(task, complete_workflow())


@scenario
async def task_closes_in_each_way_with_a_timer_open(w: Wire) -> None:
    """What is pending ends with the workflow, without an event."""
    await w.start()
    await w.turn(start_timer("t", 1), schedule_activity("a", w.queue))
    await w.activity_task()
    await w.signal()
    await w.turn(complete_workflow())
    await w.let_time_pass(1)
    await w.event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
