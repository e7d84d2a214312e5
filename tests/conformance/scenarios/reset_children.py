"""Resets: of parents, and of children."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.enums.v1 import EventType, ParentClosePolicy

from tests.conformance.commands import (
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.resetting import Reset, reset
from tests.conformance.wire import Wire

Completed = api.RespondWorkflowTaskCompletedRequest
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
CHILD_COMPLETED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED


async def start_with_child(w: Wire, change: StartChild | None = None) -> Wire:
    """A parent that knows its child has started (events 1 to 9); gives a hand on the child, which waits."""
    child = w.other("child")
    await w.start()
    await w.turn(start_child(child.name, child.queue, change))
    await w.turn()
    await child.turn(start_timer("minute", 60))
    return child


@scenario
async def reset_with_a_child(w: Wire) -> None:
    """The child goes on, and its end reaches the new run."""
    child = await start_with_child(w)
    await w.signal()
    await w.turn()
    await reset(w, 9)
    await w.describe()
    await child.signal()
    await child.turn(complete_workflow("out"))
    await w.event(CHILD_COMPLETED)
    await w.turn(complete_workflow())


@scenario
async def reset_with_a_child_that_fails(w: Wire) -> None:
    """So does its failure, through two resets."""
    child = await start_with_child(w)
    await reset(w, 9)
    await reset(w, 9, Reset(request_id="second"))
    await child.signal()
    await child.turn(fail_workflow())
    await w.event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED)
    await w.turn(complete_workflow())


@scenario
async def reset_with_a_child_that_has_ended(w: Wire) -> None:
    """A child that was pending at the point and has ended since: its end is taken along."""
    child = await start_with_child(w)
    await child.signal()
    await child.turn(complete_workflow("out"))
    await w.turn()
    await reset(w, 9)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_before_a_child_was_started(w: Wire) -> None:
    """The new run does not know the child, and cannot start one of the same name while it runs."""
    child = await start_with_child(w)
    await reset(w, 4)
    await w.describe()
    await w.turn(start_child(child.name, child.queue))
    await w.turn()
    await child.signal()
    await child.turn(complete_workflow())
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reset_before_a_child_of_another_name(w: Wire) -> None:
    """The new run starts another child; what is left of the first goes on alone."""
    child = await start_with_child(w)
    await reset(w, 4)
    other = w.other("other")
    await w.turn(start_child(other.name, other.queue))
    await w.turn()
    await child.signal()
    await child.turn(complete_workflow())
    await other.turn(complete_workflow("other"))
    await w.turn(complete_workflow())


@scenario
async def reset_before_a_child_that_has_ended(w: Wire) -> None:
    """The new run starts it again."""
    child = await start_with_child(w)
    await child.signal()
    await child.turn(complete_workflow("first"))
    await w.turn()
    await reset(w, 4)
    await w.turn(start_child(child.name, child.queue))
    await w.turn()
    await child.turn(complete_workflow("second"))
    await w.turn(complete_workflow())


@scenario
async def reset_between_initiation_and_start(w: Wire) -> None:
    """The child's start is taken along, and its end when it has come."""
    for ended in (False, True):
        parent, child = w.other(f"parent-{ended}"), w.other(f"child-{ended}")
        await parent.start()
        again = Completed(force_create_new_workflow_task=True)
        await parent.complete(await parent.workflow_task(), start_child(child.name, child.queue), change=again)
        await parent.event(CHILD_STARTED)
        await parent.turn()
        await child.turn(*([complete_workflow("out")] if ended else []))
        if ended:
            await parent.turn()
        await reset(parent, 7)
        await parent.turn()
        if not ended:
            await child.signal()
            await child.turn(complete_workflow("out"))
            await parent.event(CHILD_COMPLETED)
            await parent.turn()
        await parent.terminate(parent.name)


@scenario
async def reset_with_a_child_that_could_not_start(w: Wire) -> None:
    """The point is before the child's start failed."""
    child = w.other("child")
    await child.start()
    await w.start()
    await w.turn(start_child(child.name, child.queue))
    await w.turn()
    await reset(w, 4)
    await w.turn(start_child(child.name, child.queue))
    await w.turn(complete_workflow())


@scenario
async def reset_is_no_close_to_children(w: Wire) -> None:
    """Whatever the policy says; nor is the new run's close one to children that it has from the run before."""
    policies = {
        "cancel": ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
        "terminate": ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    }
    for name, policy in policies.items():
        parent = w.other(name)
        child = await start_with_child(parent, StartChild(parent_close_policy=policy))
        await reset(parent, 9)
        other = parent.other("own")
        await parent.turn(start_child(other.name, other.queue))
        await parent.turn()
        await parent.signal()
        await parent.turn(complete_workflow())
        await other.closed()
        await child.signal()
        await child.turn(complete_workflow())


@scenario
async def reset_after_the_parent_closed(w: Wire) -> None:
    """A closed parent is reset: its child was terminated, and that is what the new run hears."""
    child = await start_with_child(w)
    await w.signal()
    await w.turn(complete_workflow())
    await child.closed()
    await w.let_time_pass(1)  # the closed parent is told, and nothing shows it
    await reset(w, 9)
    await w.describe()


@scenario
async def reset_of_a_child(w: Wire) -> None:
    """The parent hears of the run that was made of its child, or of the one that was terminated."""
    child = await start_with_child(w)
    await reset(child, 4)
    await child.describe()
    await child.turn(complete_workflow("anew"))
    await w.event(CHILD_COMPLETED)
    await w.turn(complete_workflow())


@scenario
async def reset_of_a_closed_child(w: Wire) -> None:
    """The parent has heard already."""
    child = await start_with_child(w)
    await child.signal()
    await child.turn(complete_workflow("first"))
    await w.turn()
    await reset(child, 4)
    await child.turn(complete_workflow("second"))
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reset_with_a_child_that_continues_as_new(w: Wire) -> None:
    """The end of a later run of the child's chain reaches the new run."""
    child = await start_with_child(w)
    await reset(w, 9)
    await child.signal()
    await child.turn(continue_in_a_second())
    await child.turn(complete_workflow("second"))
    await w.event(CHILD_COMPLETED)
    await w.turn(complete_workflow())


@scenario
async def reset_of_a_parent_that_continued_as_new(w: Wire) -> None:
    """A child of the first run, which its successor never knew."""
    policy = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
    child = await start_with_child(w, StartChild(parent_close_policy=policy))
    first = (await w.describe()).workflow_execution_info.execution.run_id
    await w.signal()
    await w.turn(continue_in_a_second())
    await w.turn()
    await reset(w, 9, Reset(workflow_execution=w.execution(run_id=first)))
    await child.signal()
    await child.turn(complete_workflow("out"))
    await w.event(CHILD_COMPLETED)
    await w.turn(complete_workflow())


@scenario
async def reset_with_an_external_signal(w: Wire) -> None:
    """A signal to another workflow that was sent before the point is not sent again; one after it is."""
    other = w.other("other")
    await other.start()
    await w.start()
    attributes = SignalExternal(signal_name="hello", execution=other.execution())
    await w.turn(signal_external(attributes))
    await w.turn()
    await reset(w, 9)
    await w.turn()
    await w.signal()
    await reset(w, 4, Reset(request_id="second"))
    await w.turn(signal_external(attributes))
    await w.turn(complete_workflow())
    await other.turn()


@scenario
async def reset_before_a_signal_was_answered(w: Wire) -> None:
    """The point is between the sending of a signal and its delivery: it is sent once more."""
    other = w.other("other")
    await other.start()
    await w.start()
    hello = signal_external(SignalExternal(signal_name="hello", execution=other.execution()))
    again = Completed(force_create_new_workflow_task=True)
    await w.complete(await w.workflow_task(), hello, change=again)
    await w.event(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED)
    await w.turn()
    run_id = await reset(w, 7)
    await w.event(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, run_id=run_id)
    await w.turn(complete_workflow())
    await other.turn()
