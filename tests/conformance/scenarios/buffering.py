"""What happens while a worker has a workflow task in hand, and in which order it is written afterwards."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import EventType, ParentClosePolicy

from tests.conformance.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    failure,
    payloads,
    record_marker,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.workflow_task import Completed, Start
from tests.conformance.wire import Wire

Task = api.PollWorkflowTaskQueueResponse
Activity = api.PollActivityTaskQueueResponse
Signal = api.SignalWorkflowExecutionRequest

ONCE = Schedule(retry_policy=RetryPolicy(maximum_attempts=1))


async def task_in_hand(w: Wire, name: str = "signal") -> Task:
    """A workflow task that the worker keeps while other things happen."""
    await w.signal(Signal(signal_name=name))
    return await w.workflow_task()


async def started_activities(w: Wire, *names: str) -> dict[str, Activity]:
    """A workflow with activities that a worker has begun, each on a queue of its own."""
    await w.start()
    await w.turn(*(schedule_activity(name, w.id(name), ONCE) for name in names))
    return {name: await w.activity_task(w.id(name)) for name in names}


@scenario
async def buffered_ends_come_last(w: Wire) -> None:
    """Ends of activities and children are written after everything else, with their starts where they began."""
    activities = await started_activities(w, "a", "b")
    task = await task_in_hand(w)
    await w.complete_activity(activities["a"], payloads("done"))
    await w.signal(Signal(signal_name="between"))
    await w.fail_activity(activities["b"], failure())
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.signal(Signal(signal_name="after"))
    await w.complete(task, record_marker("m"))
    await w.turn(complete_workflow())


@scenario
async def buffered_ends_when_the_task_fails(w: Wire) -> None:
    """The same order after a failure."""
    activities = await started_activities(w, "a", "b")
    task = await task_in_hand(w)
    await w.fail_activity(activities["b"], failure())
    await w.signal(Signal(signal_name="between"))
    await w.complete_activity(activities["a"])
    await w.fail_workflow_task(task)
    await w.turn(complete_workflow())


@scenario
async def buffered_ends_when_the_task_times_out(w: Wire) -> None:
    """The same order after a time-out."""
    await w.start(Start(workflow_task_timeout=seconds(1)))
    await w.turn(schedule_activity("a", w.queue, ONCE))
    activity = await w.activity_task()
    await task_in_hand(w)
    await w.complete_activity(activity)
    await w.signal(Signal(signal_name="after"))
    await w.turn(complete_workflow())


@scenario
async def buffered_activity_begins_and_ends(w: Wire) -> None:
    """An activity that is taken, retried and completed within one workflow task."""
    await w.start()
    soon = Schedule(retry_policy=RetryPolicy(initial_interval=seconds(0.1), maximum_attempts=2))
    await w.turn(schedule_activity("a", w.queue, soon))
    task = await task_in_hand(w)
    await w.fail_activity(await w.activity_task(), failure("first"))
    activity = await w.activity_task()
    await w.describe()
    await w.complete_activity(activity)
    await w.describe()
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def buffered_activity_times_out(w: Wire) -> None:
    """Time-outs of activities: one that nobody took, and one that was taken."""
    await w.start()
    waiting = Schedule(schedule_to_start_timeout=seconds(1), start_to_close_timeout=seconds(9))
    brief = Schedule(start_to_close_timeout=seconds(1), retry_policy=ONCE.retry_policy)
    await w.turn(schedule_activity("waits", w.id("nowhere"), waiting), schedule_activity("runs", w.queue, brief))
    await w.activity_task()
    task = await task_in_hand(w)
    await w.let_time_pass(2)
    await w.signal(Signal(signal_name="after"))
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def buffered_end_of_an_activity_to_cancel(w: Wire) -> None:
    """A wish to cancel an activity whose end the worker has not seen."""
    activities = await started_activities(w, "a")
    task = await task_in_hand(w)
    await w.complete_activity(activities["a"])
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, cancel_activity(5)))
    await w.turn(complete_workflow())


@scenario
async def buffered_end_of_an_activity_whose_id_is_used(w: Wire) -> None:
    """The id of an activity whose end the worker has not seen."""
    activities = await started_activities(w, "a")
    task = await task_in_hand(w)
    await w.complete_activity(activities["a"])
    again = w.completion(task, schedule_activity("a", w.queue))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, again)
    await w.turn(complete_workflow())


@scenario
async def buffered_cancellation_of_an_activity(w: Wire) -> None:
    """A cancellation that is granted while a task is in hand."""
    activities = await started_activities(w, "a")
    await w.signal()
    await w.turn(cancel_activity(5))
    task = await task_in_hand(w, "again")
    request = api.RespondActivityTaskCanceledRequest(
        namespace=w.namespace, task_token=activities["a"].task_token, identity="worker"
    )
    await w.call(w.rpc.RespondActivityTaskCanceled, request)
    await w.signal(Signal(signal_name="after"))
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def buffered_firing_taken_back_with_the_close(w: Wire) -> None:
    """A cancelled timer is no reason to refuse the close, though it has fired."""
    await w.start()
    await w.turn(start_timer("t", 1))
    task = await task_in_hand(w)
    await w.let_time_pass(2)
    await w.complete(task, cancel_timer("t"), complete_workflow())


@scenario
async def buffered_firing_refuses_the_close(w: Wire) -> None:
    """Without the cancellation it is."""
    await w.start()
    await w.turn(start_timer("t", 1))
    task = await task_in_hand(w)
    await w.let_time_pass(2)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def buffered_firing_and_the_same_id(w: Wire) -> None:
    """A timer of the same id as one whose firing the worker has not seen."""
    await w.start()
    await w.turn(start_timer("t", 1))
    task = await task_in_hand(w)
    await w.let_time_pass(2)
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, start_timer("t", 60)))
    await w.turn(complete_workflow())


@scenario
async def buffered_firing_cancelled_and_started_again(w: Wire) -> None:
    """The firing is taken back; the id is free again."""
    await w.start()
    await w.turn(start_timer("t", 1))
    task = await task_in_hand(w)
    await w.let_time_pass(2)
    await w.complete(task, cancel_timer("t"), start_timer("t", 60), cancel_timer("t"))
    await w.describe()


@scenario
async def buffered_child_from_start_to_end(w: Wire) -> None:
    """A child that starts and completes within one workflow task of its parent."""
    child = w.other("child")
    await w.start()
    task = await w.workflow_task()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    reply = await w.complete(task, start_child(child.name, child.queue), change=change)
    await child.turn(complete_workflow("done"))
    await child.closed()
    await w.let_time_pass(1)
    await w.signal()
    await w.complete(reply.workflow_task)
    await w.turn(complete_workflow())


@scenario
async def buffered_end_of_a_child(w: Wire) -> None:
    """A child that fails while its parent's worker cancels it, and uses its id again."""
    child = w.other("child")
    await w.start()
    await w.turn(start_child(child.name, child.queue))
    await w.event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    task = await w.workflow_task()
    await child.turn(fail_workflow())
    await w.let_time_pass(1)
    cancel = cancel_external(CancelExternal(workflow_id=child.name, child_workflow_only=True))
    signal = signal_external(
        SignalExternal(execution=w.execution(child.name), signal_name="hi", child_workflow_only=True)
    )
    again = start_child(
        child.name, child.queue, StartChild(parent_close_policy=ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON)
    )
    await w.complete(task, cancel, signal, again)
    task = await child.workflow_task()
    await w.turn()
    await child.complete(task, complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def buffered_answers_of_other_workflows(w: Wire) -> None:
    """Signals and cancellations of other workflows, answered while a task is in hand."""
    target = w.other("target")
    await target.start()
    await w.start()
    change = Completed(force_create_new_workflow_task=True, return_new_workflow_task=True)
    execution = w.execution(target.name)
    reply = await w.complete(
        await w.workflow_task(),
        signal_external(SignalExternal(execution=execution, signal_name="hi")),
        change=change,
    )
    await target.event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    cancel = cancel_external(CancelExternal(workflow_id=w.id("nobody")))
    reply = await w.complete(reply.workflow_task, cancel, change=change)
    await w.let_time_pass(1)
    await w.complete(reply.workflow_task)
    await w.turn(complete_workflow())


@scenario
async def buffered_request_to_cancel(w: Wire) -> None:
    """A workflow cannot end over a request to cancel; the next task may."""
    await w.start()
    task = await w.workflow_task()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, cancel_workflow()))
    await w.turn(cancel_workflow())


@scenario
async def buffered_too_many(w: Wire) -> None:
    """More than a hundred events: the task fails, and all are written."""
    await w.start()
    task = await w.workflow_task()
    for number in range(101):
        await w.unrecorded(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(request_id=str(number))))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task), note="too late")
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def buffered_as_many_as_may_be(w: Wire) -> None:
    """A hundred events are no reason."""
    await w.start()
    task = await w.workflow_task()
    for number in range(100):
        await w.unrecorded(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(request_id=str(number))))
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def buffered_too_large(w: Wire) -> None:
    """Nor may they be too large together."""
    await w.start()
    task = await w.workflow_task()
    big = Signal(input=payloads("x" * 1_500_000))
    await w.unrecorded(w.rpc.SignalWorkflowExecution, w.signal_request(big))
    await w.unrecorded(w.rpc.SignalWorkflowExecution, w.signal_request(big))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task), note="too late?")
    await w.turn(complete_workflow())


@scenario
async def buffered_too_many_in_a_later_attempt(w: Wire) -> None:
    """The same on a second attempt."""
    await w.start()
    await w.fail_workflow_task(await w.workflow_task())
    await w.workflow_task()
    for number in range(101):
        await w.unrecorded(w.rpc.SignalWorkflowExecution, w.signal_request(Signal(request_id=str(number))))
    await w.turn(complete_workflow())


@scenario
async def buffered_when_the_run_times_out(w: Wire) -> None:
    """A run's time is over while a task is in hand."""
    await w.start(Start(workflow_run_timeout=seconds(2)))
    await w.turn(schedule_activity("a", w.queue))
    activity = await w.activity_task()
    await task_in_hand(w)
    await w.signal(Signal(signal_name="buffered"))
    await w.complete_activity(activity)
    await w.closed()


@scenario
async def buffered_when_terminated(w: Wire) -> None:
    """Ends of activities find their place before the termination."""
    activities = await started_activities(w, "a")
    await task_in_hand(w)
    await w.complete_activity(activities["a"])
    await w.signal(Signal(signal_name="after"))
    await w.terminate()


@scenario
async def buffered_signal_then_continue_as_new(w: Wire) -> None:
    """A refused continuation keeps nothing: its commands before it are gone, too."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    request = w.completion(task, start_timer("t", 60), record_marker("m"), continue_in_a_second())
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.describe()
    await w.turn(continue_in_a_second())


@scenario
async def buffered_only_by_the_commands_themselves(w: Wire) -> None:
    """What the task's own commands bring about at once is no news to its worker."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue), schedule_activity("b", w.queue))
    await w.signal()
    await w.complete(await w.workflow_task(), cancel_activity(5), cancel_activity(6), complete_workflow())


@scenario
async def buffered_cancellation_of_a_waiting_activity(w: Wire) -> None:
    """The end of an activity nobody took comes with the next task, after the other commands."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    task = await task_in_hand(w)
    await w.signal(Signal(signal_name="between"))
    await w.complete(task, cancel_activity(5), start_timer("t", 60))
    await w.turn(complete_workflow())


@scenario
async def buffered_before_a_first_attempt(w: Wire) -> None:
    """Events of a task that is scheduled, but not taken, are not buffered."""
    activities = await started_activities(w, "a")
    await w.signal()
    await w.complete_activity(activities["a"])
    await w.signal(Signal(signal_name="after"))
    await w.turn(complete_workflow())
