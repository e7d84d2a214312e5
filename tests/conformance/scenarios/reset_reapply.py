"""Resets: what of later events the new run takes along."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import Callback, Header, Priority, RetryPolicy
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType, ResetReapplyType, WorkflowIdConflictPolicy
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Rejection
from temporalio.api.workflow.v1 import OnConflictOptions, PostResetOperation, WorkflowExecutionOptions

from tests.conformance.commands import (
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    failure,
    payload,
    payloads,
    seconds,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.resetting import Reset, reset, reset_request
from tests.conformance.scenarios import updates
from tests.conformance.wire import Wire

Signal = api.SignalWorkflowExecutionRequest
Start = api.StartWorkflowExecutionRequest
WITHOUT_SIGNALS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
WITHOUT_UPDATES = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE
WITHOUT_NEXUS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_NEXUS
WITHOUT_CANCELS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST
NOTHING = ResetReapplyType.RESET_REAPPLY_TYPE_NONE
SIGNALS = ResetReapplyType.RESET_REAPPLY_TYPE_SIGNAL
ALL = ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE
OPTIONS_UPDATED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED


def accept(update_id: str = "u") -> Message:
    """The worker accepts an update that it read of in the history: no message of the task spoke of it."""
    acceptance = Acceptance(accepted_request_message_id=f"{update_id}/request", accepted_request_sequencing_event_id=1)
    return updates.message(update_id, "accept", acceptance)


def reject(update_id: str = "u") -> Message:
    """The worker rejects such an update."""
    rejection = Rejection(rejected_request_message_id=f"{update_id}/request", failure=failure("no"))
    return updates.message(update_id, "reject", rejection)


async def signal_and_update(w: Wire) -> None:
    """A run that had an update and a signal after its first task."""
    await updates.idle_workflow(w)
    asked = updates.ask(w)
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task), updates.respond())
    await asked
    await w.signal()
    await w.turn()


@scenario
async def reapply_signals(w: Wire) -> None:
    """All that a signal says is taken along, but not those from before the point."""
    await w.start()
    await w.signal(Signal(signal_name="before"))
    await w.turn(start_timer("minute", 60))
    full = Signal(input=payloads("in"), header=Header(fields={"trace": payload("on")}), request_id="full")
    await w.signal(full)
    await w.turn()
    await reset(w, 5)
    await w.turn(complete_workflow())


@scenario
async def reapply_signals_known_by_id(w: Wire) -> None:
    """A signal that was taken along is sent again, by a client that did not hear that it was received."""
    await updates.idle_workflow(w)
    once = Signal(request_id="once")
    await w.signal(once)
    await reset(w, 4)
    await w.signal(once)
    await w.turn(complete_workflow())


@scenario
async def reapply_signals_once_more(w: Wire) -> None:
    """What a reset has taken along, the next one takes along, too."""
    await updates.idle_workflow(w)
    await w.signal()
    await reset(w, 4)
    await w.signal(Signal(signal_name="second"))
    await reset(w, 4, Reset(request_id="second"))
    await w.turn(complete_workflow())


@scenario
async def reapply_from_the_first_run_only(w: Wire) -> None:
    """A reset of the first run again does not know of what the second was told."""
    first = await w.start()
    await w.turn(start_timer("minute", 60))
    await w.signal()
    await reset(w, 4)
    await w.signal(Signal(signal_name="second"))
    await reset(w, 4, Reset(request_id="second", workflow_execution=w.execution(run_id=first)))
    await w.turn(complete_workflow())


@scenario
async def reapply_updates(w: Wire) -> None:
    """An update that was completed after the point is admitted anew, and answered by the new run."""
    await signal_and_update(w)
    await reset(w, 4)
    await w.describe()
    task = await w.workflow_task()
    await w.call(w.rpc.PollWorkflowExecutionUpdate, updates.poll(w, stage="UNSPECIFIED"))
    await updates.say(w, task, accept(), updates.respond())
    await w.call(w.rpc.PollWorkflowExecutionUpdate, updates.poll(w))
    await w.attempt(w.rpc.UpdateWorkflowExecution, updates.update(w))
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reapply_updates_rejected(w: Wire) -> None:
    """The new run may reject it."""
    await signal_and_update(w)
    await reset(w, 4)
    task = await w.workflow_task()
    await updates.say(w, task, reject())
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reapply_updates_unanswered(w: Wire) -> None:
    """A worker that says nothing of it."""
    await signal_and_update(w)
    await reset(w, 4)
    await w.turn()
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reapply_updates_asked_again(w: Wire) -> None:
    """A caller who asks for the same update waits for the one that was taken along."""
    await signal_and_update(w)
    await reset(w, 4)
    asked = updates.ask(w)
    task = await w.workflow_task()
    await updates.say(w, task, accept(), updates.respond())
    await asked
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reapply_updates_of_a_reset_run(w: Wire) -> None:
    """An update that was admitted by a reset is taken along by the next, answered or not."""
    await signal_and_update(w)
    await reset(w, 4)
    await reset(w, 4, Reset(request_id="second"))
    task = await w.workflow_task()
    await updates.say(w, task, accept(), updates.respond())
    await w.signal()
    await w.turn()
    await reset(w, 4, Reset(request_id="third"))
    await w.turn(complete_workflow())


@scenario
async def reapply_updates_that_were_before(w: Wire) -> None:
    """Accepted before the point, completed after it; and one that was complete before."""
    await updates.idle_workflow(w)
    first, second = updates.ask(w, updates.update(w, stage="ACCEPTED")), None
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task))
    await first
    second = updates.ask(w, updates.update(w, "done"))
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task), updates.respond("done"))
    await second
    await w.signal()
    await updates.say(w, await w.workflow_task(), updates.respond())
    await reset(w, 17)
    await w.call(w.rpc.PollWorkflowExecutionUpdate, updates.poll(w, "done"))
    await w.call(w.rpc.PollWorkflowExecutionUpdate, updates.poll(w, stage="ACCEPTED"))
    await updates.say(w, await w.workflow_task(), updates.respond())
    await w.call(w.rpc.PollWorkflowExecutionUpdate, updates.poll(w))
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reapply_with_an_update_in_flight(w: Wire) -> None:
    """A caller whose update no worker has seen when the run is reset."""
    await updates.idle_workflow(w)
    asked = updates.ask(w)
    await updates.admitted(w)
    await reset(w, 4)
    await asked
    await w.turn(complete_workflow())


@scenario
async def reapply_with_an_accepted_update(w: Wire) -> None:
    """A caller whose update was accepted when the run is reset."""
    await updates.idle_workflow(w)
    asked = updates.ask(w)
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task))
    await reset(w, 4)
    await asked
    task = await w.workflow_task()
    await updates.say(w, task, accept(), updates.respond())
    await w.signal()
    await w.turn(complete_workflow())


@scenario
async def reapply_excluding(w: Wire) -> None:
    """What the caller does not want to be taken along."""
    wishes = {
        "no signals": Reset(reset_reapply_exclude_types=[WITHOUT_SIGNALS]),
        "no updates": Reset(reset_reapply_exclude_types=[WITHOUT_UPDATES]),
        "neither": Reset(reset_reapply_exclude_types=[WITHOUT_SIGNALS, WITHOUT_UPDATES, WITHOUT_NEXUS]),
        "no cancellations": Reset(reset_reapply_exclude_types=[WITHOUT_CANCELS]),
        "type none": Reset(reset_reapply_type=NOTHING),
        "type signal": Reset(reset_reapply_type=SIGNALS),
        "type all": Reset(reset_reapply_type=ALL),
        "all but signals": Reset(reset_reapply_type=ALL, reset_reapply_exclude_types=[WITHOUT_SIGNALS]),
        "signal but signals": Reset(reset_reapply_type=SIGNALS, reset_reapply_exclude_types=[WITHOUT_SIGNALS]),
    }
    for index, (note, wish) in enumerate(wishes.items()):
        other = w.other(str(index))
        other.note(note)
        await signal_and_update(other)
        await reset(other, 4, wish)


@scenario
async def reapply_no_cancellation(w: Wire) -> None:
    """A request to cancel stays behind, even though the type is not excluded; one from before the point counts."""
    await updates.idle_workflow(w)
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn()
    await reset(w, 4)
    await w.describe()
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.turn()
    await w.signal()
    await reset(w, 8, Reset(request_id="second"))
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reapply_options(w: Wire) -> None:
    """Request ids that starts have attached."""
    await updates.idle_workflow(w)
    attach = Start(
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
    )
    attach.request_id = "attached"
    await w.start(attach)
    await reset(w, 4)
    await w.describe()
    await w.start(attach)
    await w.turn(complete_workflow())


@scenario
async def reapply_from_successors(w: Wire) -> None:
    """The runs that continued the one that is reset as new: their signals and updates are taken along, in order."""
    first = await w.start()
    await w.turn(start_timer("minute", 60))
    await w.signal(Signal(signal_name="first"))
    await w.turn(continue_in_a_second())
    await w.turn(start_timer("minute", 60))
    await w.signal(Signal(signal_name="second"))
    asked = updates.ask(w)
    await updates.admitted(w)
    task = await w.workflow_task()
    await updates.say(w, task, updates.accept(task), updates.respond())
    await asked
    await w.signal()
    await w.turn(continue_in_a_second())
    await w.signal(Signal(signal_name="third"))
    await w.turn(start_timer("minute", 60))
    await reset(w, 4, Reset(workflow_execution=w.execution(run_id=first)))
    await w.turn(complete_workflow())


@scenario
async def reapply_not_from_other_chains(w: Wire) -> None:
    """A run that another start began is no successor; nor is one that follows another reset."""
    first = await w.start()
    await w.turn(complete_workflow())
    await w.start(Start(request_id="second"))
    await w.turn(start_timer("minute", 60))
    await w.signal()
    await reset(w, 4, Reset(workflow_execution=w.execution(run_id=first)))
    await w.turn(complete_workflow())


@scenario
async def reapply_from_retries(w: Wire) -> None:
    """What attempts that followed a failed one were told."""
    first = await w.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(1), maximum_attempts=3)))
    await w.turn(start_timer("minute", 60))
    await w.signal(Signal(signal_name="first"))
    await w.turn(fail_workflow())
    await w.turn(start_timer("minute", 60))
    await w.signal(Signal(signal_name="second"))
    await reset(w, 4, Reset(workflow_execution=w.execution(run_id=first)))
    await w.turn(complete_workflow())


@scenario
async def reset_with_operations(w: Wire) -> None:
    """What is to be done right after the reset: only options can be set."""
    await updates.idle_workflow(w)
    change = PostResetOperation.UpdateWorkflowOptions
    priority = change(workflow_execution_options=WorkflowExecutionOptions(priority=Priority(priority_key=2)))
    priority.update_mask.paths.append("priority")
    override = change(workflow_execution_options=WorkflowExecutionOptions())
    override.workflow_execution_options.versioning_override.auto_upgrade = True
    override.update_mask.paths.append("versioning_override")
    nothing = change(workflow_execution_options=WorkflowExecutionOptions())
    nothing.update_mask.paths.append("versioning_override")
    cases = {
        "signal": [PostResetOperation(signal_workflow=PostResetOperation.SignalWorkflow(signal_name="after"))],
        "empty": [PostResetOperation()],
        "priority": [PostResetOperation(update_workflow_options=priority)],
        "override": [PostResetOperation(update_workflow_options=override)],
        "both": [PostResetOperation(update_workflow_options=each) for each in (priority, override)],
        "nothing": [PostResetOperation(update_workflow_options=nothing)],
    }
    for note, operations in cases.items():
        request = reset_request(w, 4, Reset(request_id=note, post_reset_operations=operations))
        reply = await w.attempt(w.rpc.ResetWorkflowExecution, request, note=note)
        if reply is not None:
            w.transcript.ran(w.name, reply.run_id)
            await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_with_callbacks(w: Wire) -> None:
    """Who is to be called back hears nothing of the run that is reset: the new one has the callback now."""
    callback = Callback(nexus=Callback.Nexus(url="http://127.0.0.1:1/nobody"))
    first = await w.start(Start(completion_callbacks=[callback]))
    await w.turn(start_timer("minute", 60))
    second = await reset(w, 4)
    await w.describe(run_id=first)
    await w.describe(run_id=second)


def pause(w: Wire) -> api.PauseWorkflowExecutionRequest:
    return api.PauseWorkflowExecutionRequest(
        namespace=w.namespace, workflow_id=w.name, identity="client", reason="wait", request_id="pause"
    )


@scenario
async def reset_of_a_paused_run(w: Wire) -> None:
    """The point is before the pause: the new run is not paused, though the pause was not ended."""
    await updates.idle_workflow(w)
    await w.call(w.rpc.PauseWorkflowExecution, pause(w))
    await w.signal()
    first = await w.describe()
    await reset(w, 4)
    await w.describe(run_id=first.workflow_execution_info.execution.run_id)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def reset_after_a_pause(w: Wire) -> None:
    """The point is after a pause that was ended."""
    await updates.idle_workflow(w)
    await w.call(w.rpc.PauseWorkflowExecution, pause(w))
    await w.signal()
    resume = api.UnpauseWorkflowExecutionRequest(
        namespace=w.namespace, workflow_id=w.name, identity="client", reason="go on", request_id="unpause"
    )
    await w.call(w.rpc.UnpauseWorkflowExecution, resume)
    task = await w.workflow_task()
    await w.complete(task)
    await reset(w, task.started_event_id + 1)
    await w.describe()
    await w.turn(complete_workflow())
