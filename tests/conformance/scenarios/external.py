"""Signals and requests to cancel that one workflow sends to another: to whom they get, and what the sender learns."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Header, RetryPolicy
from temporalio.api.enums.v1 import EventType, ParentClosePolicy

from tests.conformance.commands import (
    cancel_external,
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    payload,
    payloads,
    seconds,
    signal_external,
    start_child,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.cancel_terminate import UNKNOWN_RUN
from tests.conformance.scenarios.children import start_with_child
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest
CANCEL_FAILED = EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED


def signal(w: Wire, workflow_id: str, change: SignalExternal | None = None, run_id: str = "") -> SignalExternal:
    """A signal named `hi`."""
    attributes = SignalExternal(execution=w.execution(workflow_id, run_id), signal_name="hi")
    if change is not None:
        attributes.MergeFrom(change)
    return attributes


@scenario
async def external_signal_with_everything(w: Wire) -> None:
    """Input, header and control; the run id is the target's."""
    target = w.other("target")
    run_id = await target.start()
    await target.turn()
    await w.start()
    change = SignalExternal(
        input=payloads("x", "y"), header=Header(fields={"trace": payload("on")}), control="mine", namespace="default"
    )
    await w.turn(signal_external(signal(w, target.name, change, run_id)))
    await target.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def external_signals_to_runs(w: Wire) -> None:
    """A run that never was, one that is closed, and one that another run of its chain has followed."""
    target = w.other("target")
    closed = await target.start()
    await target.turn(continue_in_a_second())
    await w.start()
    for run_id in (UNKNOWN_RUN, closed):
        await w.turn(signal_external(signal(w, target.name, run_id=run_id)))
    await w.turn(signal_external(signal(w, target.name)))
    await w.turn(complete_workflow())
    await target.turn(complete_workflow())


@scenario
async def external_cancels_to_runs(w: Wire) -> None:
    """A run that never was, one that another run of its chain has followed, and the current one."""
    target = w.other("target")
    closed = await target.start()
    await target.turn(continue_in_a_second())
    await w.start()
    for run_id in (UNKNOWN_RUN, closed):
        await w.turn(cancel_external(CancelExternal(workflow_id=target.name, run_id=run_id)))
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name)))
    await w.turn(complete_workflow())
    await target.turn(cancel_workflow())


@scenario
async def external_signal_to_oneself(w: Wire) -> None:
    """By workflow id or with its own run id: it does not get there."""
    run_id = await w.start()
    await w.turn(signal_external(signal(w, w.name, run_id=run_id)))
    await w.turn(signal_external(signal(w, w.name, run_id=UNKNOWN_RUN)))
    await w.turn(complete_workflow())


@scenario
async def external_cancel_of_oneself(w: Wire) -> None:
    """By workflow id or with its own run id."""
    run_id = await w.start()
    await w.turn(cancel_external(CancelExternal(workflow_id=w.name, reason="enough", control="mine")))
    await w.turn(cancel_external(CancelExternal(workflow_id=w.name, run_id=run_id)))
    await w.turn(complete_workflow())


@scenario
async def external_to_the_chain_behind(w: Wire) -> None:
    """A run that signals and cancels its own next run."""
    await w.start()
    await w.turn(continue_in_a_second())
    task = await w.workflow_task()
    await w.complete(task, cancel_external(CancelExternal(workflow_id=w.name)))
    await w.turn(complete_workflow())


@scenario
async def external_children_only(w: Wire) -> None:
    """Only to one's own child, when that is asked for: a child, a stranger, a child by its run id."""
    stranger = w.other("stranger")
    await stranger.start()
    await stranger.turn()
    child = await start_with_child(w)
    await child.turn()
    await w.signal()
    only = SignalExternal(child_workflow_only=True)
    await w.turn(signal_external(signal(w, child.name, only)))
    await child.turn()
    await w.turn(signal_external(signal(w, stranger.name, only)))
    await w.turn(cancel_external(CancelExternal(workflow_id=stranger.name, child_workflow_only=True)))
    await w.turn(complete_workflow())
    await stranger.terminate()


@scenario
async def external_children_only_closed(w: Wire) -> None:
    """A child that is closed."""
    child = await start_with_child(w)
    await child.turn(complete_workflow())
    await w.turn(signal_external(signal(w, child.name, SignalExternal(child_workflow_only=True))))
    await w.turn(cancel_external(CancelExternal(workflow_id=child.name, child_workflow_only=True)))
    await w.turn(complete_workflow())


@scenario
async def external_children_only_of_a_chain(w: Wire) -> None:
    """The second run of a child is a child, too."""
    child = await start_with_child(w)
    await child.turn(continue_in_a_second())
    await child.turn()
    await w.signal()
    await w.turn(signal_external(signal(w, child.name, SignalExternal(child_workflow_only=True))))
    await w.turn(cancel_external(CancelExternal(workflow_id=child.name, child_workflow_only=True)))
    await w.turn()
    await child.turn(cancel_workflow())
    await w.turn(complete_workflow())


@scenario
async def external_in_the_task_that_starts_the_child(w: Wire) -> None:
    """A child is started and cancelled, or signalled, by one list of commands."""
    for index, command in enumerate(
        (
            cancel_external(CancelExternal(workflow_id=w.id("0-child"), child_workflow_only=True)),
            cancel_external(CancelExternal(workflow_id=w.id("1-child"))),
        )
    ):
        other = w.other(str(index))
        await other.start()
        request = other.completion(await other.workflow_task(), start_child(other.id("child"), other.queue), command)
        await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)


@scenario
async def external_several_at_once(w: Wire) -> None:
    """The same signal and the same request twice, in one list: signals count twice, requests once."""
    target = w.other("target")
    await target.start()
    task = await target.workflow_task()
    await w.start()
    await w.turn(signal_external(signal(w, target.name)))
    await w.turn(signal_external(signal(w, target.name)))
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name, reason="one")))
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name, reason="two")))
    await w.turn(complete_workflow())
    await target.complete(task)
    await target.turn(complete_workflow())


@scenario
async def external_cancel_after_a_client_did(w: Wire) -> None:
    """A target that has been asked already counts as told."""
    target = w.other("target")
    await target.start()
    await target.turn()
    await target.call(w.rpc.RequestCancelWorkflowExecution, target.cancel_request())
    await w.start()
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name)))
    await w.turn(complete_workflow())
    await target.turn(cancel_workflow())


@scenario
async def external_to_a_delayed_workflow(w: Wire) -> None:
    """A target that waits for its start delay keeps waiting."""
    target = w.other("target")
    await target.start(Start(workflow_start_delay=seconds(2)))
    await w.start()
    await w.turn(signal_external(signal(w, target.name)))
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name)))
    await w.turn(complete_workflow())
    await target.turn(cancel_workflow())


@scenario
async def external_to_a_run_that_is_retried(w: Wire) -> None:
    """Between two attempts, it is the next one that is signalled and cancelled."""
    target = w.other("target")
    await target.start(Start(retry_policy=RetryPolicy(initial_interval=seconds(2))))
    await target.turn(fail_workflow())
    await w.start()
    await w.turn(signal_external(signal(w, target.name)))
    await w.turn(cancel_external(CancelExternal(workflow_id=target.name)))
    await w.turn(complete_workflow())
    await target.turn(cancel_workflow())


@scenario
async def external_answers_while_a_task_runs(w: Wire) -> None:
    """Answers wait for the end of the task, like all that comes from outside."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.complete(
        task,
        cancel_external(CancelExternal(workflow_id=w.id("nobody"), control="mine")),
        change=api.RespondWorkflowTaskCompletedRequest(return_new_workflow_task=True),
    )
    await w.event(CANCEL_FAILED)


@scenario
async def external_bad_commands(w: Wire) -> None:
    """Namespaces, ids and runs that cannot be."""
    someone = w.execution("someone")
    await w.each_alone(
        {
            "signal, unknown namespace": signal_external(signal(w, "someone", SignalExternal(namespace="nowhere"))),
            "cancel, unknown namespace": cancel_external(CancelExternal(workflow_id="someone", namespace="nowhere")),
            "child, unknown namespace": start_child("child", w.queue, StartChild(namespace="nowhere")),
            "signal, empty id": signal_external(SignalExternal(execution=w.execution(" "), signal_name="s")),
            "signal, nothing": signal_external(SignalExternal()),
            "signal, run only": signal_external(
                SignalExternal(execution=type(someone)(run_id=UNKNOWN_RUN), signal_name="s")
            ),
            "cancel, run only": cancel_external(CancelExternal(run_id=UNKNOWN_RUN)),
            "signal child, by run": signal_external(
                signal(w, "someone", SignalExternal(child_workflow_only=True), UNKNOWN_RUN)
            ),
            "long control": signal_external(signal(w, w.id("nobody"), SignalExternal(control="x" * 3000))),
            "long reason": cancel_external(CancelExternal(workflow_id=w.id("nobody"), reason="x" * 3000)),
        }
    )


@scenario
async def external_sender_closes_at_once(w: Wire) -> None:
    """What a workflow sends in its last task does not get there."""
    target = w.other("target")
    await target.start()
    await target.turn()
    await w.start()
    await w.turn(
        signal_external(signal(w, target.name)),
        cancel_external(CancelExternal(workflow_id=target.name)),
        complete_workflow(),
    )
    await target.no_workflow_task()
    await target.describe()


@scenario
async def external_to_an_abandoned_child(w: Wire) -> None:
    """A child that was left alone hears of strangers, too."""
    policy = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
    child = await start_with_child(w, StartChild(parent_close_policy=policy))
    await child.turn()
    await w.terminate()
    other = w.other("stranger")
    await other.start()
    await other.turn(signal_external(signal(w, child.name)))
    await child.turn(complete_workflow())
    await other.turn(complete_workflow())


@scenario
async def requests_that_say_nothing(w: Wire) -> None:
    """Terminations and requests to cancel without reason, without identity, without both."""
    for index, (reason, identity) in enumerate((("", "client"), ("enough", ""), ("", ""))):
        ended, asked = w.other(f"ended-{index}"), w.other(f"asked-{index}")
        await ended.start()
        terminate = ended.terminate_request()
        terminate.reason, terminate.identity = reason, identity
        await w.call(w.rpc.TerminateWorkflowExecution, terminate)
        await asked.start()
        cancel = asked.cancel_request()
        cancel.reason, cancel.identity = reason, identity
        await w.call(w.rpc.RequestCancelWorkflowExecution, cancel)
        await asked.turn(cancel_workflow())


@scenario
async def requests_with_links(w: Wire) -> None:
    """Links of requests stand with their events."""
    request = w.cancel_request()
    link = request.links.add().workflow_event
    link.namespace, link.workflow_id, link.run_id = "default", "someone", UNKNOWN_RUN
    await w.start()
    await w.call(w.rpc.RequestCancelWorkflowExecution, request)
    await w.turn()
    terminate = w.terminate_request()
    terminate.links.add().CopyFrom(request.links[0])
    await w.call(w.rpc.TerminateWorkflowExecution, terminate)
