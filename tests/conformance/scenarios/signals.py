"""Signals: plain, buffered, deduplicated, with start, and from workflow to workflow."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.common.v1 import Header, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import complete_workflow, payload, payloads, seconds, signal_external
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire, over

Signal = api.SignalWorkflowExecutionRequest
SignalWithStart = api.SignalWithStartWorkflowExecutionRequest


def signal_with_start(w: Wire, change: SignalWithStart | None = None) -> SignalWithStart:
    """A signal that starts the scenario's workflow if need be, with the fields of `change` laid over it."""
    request = SignalWithStart(
        namespace=w.namespace,
        workflow_id=w.name,
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name=w.queue),
        signal_name="signal",
        signal_input=payloads("hello"),
        identity="client",
        request_id="signal-with-start",
    )
    return over(request, change)


@scenario
async def signal_brings_a_task(w: Wire) -> None:
    """A signal with input and header is an event and brings a workflow task."""
    await w.start()
    await w.turn()
    await w.signal(Signal(input=payloads("x"), header=Header(fields={"trace": payload("on")})))
    await w.turn(complete_workflow())


@scenario
async def signals_before_the_first_task(w: Wire) -> None:
    """Signals that come before a task is taken share it."""
    await w.start()
    await w.signal()
    await w.signal(Signal(signal_name="second"))
    await w.turn(complete_workflow())


@scenario
async def signal_buffered(w: Wire) -> None:
    """A signal during a workflow task comes after its commands, with the next task."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.events()
    await w.complete(task)
    await w.turn(complete_workflow())


@scenario
async def signal_buffered_refuses_completion(w: Wire) -> None:
    """A workflow cannot complete over a signal it has not seen."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, w.completion(task, complete_workflow()))
    await w.turn(complete_workflow())


@scenario
async def signal_buffered_while_the_task_fails(w: Wire) -> None:
    """A signal during a task that fails stands after the failure."""
    await w.start()
    task = await w.workflow_task()
    await w.signal()
    await w.fail_workflow_task(task)
    await w.turn(complete_workflow())


@scenario
async def signal_same_request_id(w: Wire) -> None:
    """A repeated signal request counts once; another id, or none, counts again."""
    await w.start()
    for request_id in ("one", "one", "two", "", ""):
        await w.signal(Signal(request_id=request_id))
    await w.turn(complete_workflow())


@scenario
async def signal_same_request_id_buffered(w: Wire) -> None:
    """A repeated signal request counts once while buffered, too."""
    await w.start()
    task = await w.workflow_task()
    for request_id in ("one", "one", "two"):
        await w.signal(Signal(request_id=request_id))
    await w.complete(task)
    await w.signal(Signal(request_id="one"))
    await w.turn(complete_workflow())


@scenario
async def signal_where_nobody_is(w: Wire) -> None:
    """Unknown workflows, unknown runs, closed runs."""
    unknown_run = "11111111-1111-1111-1111-111111111111"
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(), note="unknown workflow")
    run_id = await w.start()
    for note, run in {"unknown run": unknown_run, "no run id": "not-a-uuid"}.items():
        request = w.signal_request(Signal(workflow_execution=w.execution(run_id=run)))
        await w.attempt(w.rpc.SignalWorkflowExecution, request, note=note)
    await w.turn(complete_workflow())
    await w.attempt(w.rpc.SignalWorkflowExecution, w.signal_request(), note="closed")
    request = w.signal_request(Signal(workflow_execution=w.execution(run_id=run_id)))
    await w.attempt(w.rpc.SignalWorkflowExecution, request, note="closed, by run")


@scenario
async def signal_with_start_new(w: Wire) -> None:
    """Nobody is there: the workflow is started and signalled at once."""
    reply = await w.call(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w))
    w.transcript.ran(w.name, reply.run_id)
    await w.turn(complete_workflow())


@scenario
async def signal_with_start_running(w: Wire) -> None:
    """A running workflow is just signalled; the same request again counts once."""
    await w.start()
    await w.call(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w))
    await w.call(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w))
    await w.turn(complete_workflow())


@scenario
async def signal_with_start_closed(w: Wire) -> None:
    """On a closed workflow the reuse policy decides."""
    await w.start()
    await w.turn(complete_workflow())
    reject = SignalWithStart(workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
    await w.attempt(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w, reject), note="reject")
    reply = await w.call(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w))
    w.transcript.ran(w.name, reply.run_id)
    await w.turn(complete_workflow())


@scenario
async def signal_with_start_policies(w: Wire) -> None:
    """Conflict policies of a signal with start on a running workflow."""
    await w.start()
    for name in ("FAIL", "TERMINATE_EXISTING"):
        policy = WorkflowIdConflictPolicy.Value(f"WORKFLOW_ID_CONFLICT_POLICY_{name}")
        request = signal_with_start(w, SignalWithStart(workflow_id_conflict_policy=policy))
        request.request_id = name
        reply = await w.attempt(w.rpc.SignalWithStartWorkflowExecution, request, note=name)
        w.transcript.ran(w.name, reply.run_id if reply else "")
    terminate = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    request = signal_with_start(w, SignalWithStart(workflow_id_reuse_policy=terminate))
    request.request_id = "terminate if running"
    reply = await w.attempt(w.rpc.SignalWithStartWorkflowExecution, request, note="terminate if running")
    w.transcript.ran(w.name, reply.run_id if reply else "")
    await w.turn(complete_workflow())


@scenario
async def signal_with_start_skips_the_delay(w: Wire) -> None:
    """A signal with start to a workflow that waits for its start delay brings its first task at once."""
    await w.start(api.StartWorkflowExecutionRequest(workflow_start_delay=seconds(60)))
    await w.call(w.rpc.SignalWithStartWorkflowExecution, signal_with_start(w))
    await w.turn(complete_workflow())


@scenario
async def signal_external_workflow(w: Wire) -> None:
    """One workflow signals another, and learns that it arrived."""
    target = w.other("target")
    await target.start()
    await target.turn()
    await w.start()
    attributes = SignalExternal(
        execution=w.execution(target.name), signal_name="hi", input=payloads("x"), control="mine", namespace="default"
    )
    await w.turn(signal_external(attributes))
    await target.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def signal_external_to_nobody(w: Wire) -> None:
    """A signal to an unknown workflow fails by event."""
    await w.start()
    await w.turn(signal_external(SignalExternal(execution=w.execution(w.id("nobody")), signal_name="hi")))
    await w.turn(complete_workflow())


@scenario
async def signal_external_to_a_closed_workflow(w: Wire) -> None:
    """A signal to a closed workflow fails by event."""
    target = w.other("target")
    await target.start()
    await target.turn(complete_workflow())
    await w.start()
    await w.turn(signal_external(SignalExternal(execution=w.execution(target.name), signal_name="hi")))
    await w.turn(complete_workflow())


@scenario
async def signal_oneself(w: Wire) -> None:
    """A workflow's signal to itself does not find it."""
    await w.start()
    await w.turn(signal_external(SignalExternal(execution=w.execution(), signal_name="me")))
    await w.turn(complete_workflow())


@scenario
async def signal_external_bad_commands(w: Wire) -> None:
    """Commands to signal that make no sense."""
    someone = w.execution("someone")
    await w.each_alone(
        {
            "no execution": signal_external(SignalExternal(signal_name="s")),
            "no name": signal_external(SignalExternal(execution=someone)),
            "no uuid": signal_external(SignalExternal(execution=w.execution("someone", "tea"), signal_name="s")),
            "long name": signal_external(SignalExternal(execution=someone, signal_name="x" * 1001)),
            "long id": signal_external(SignalExternal(execution=w.execution("x" * 1001), signal_name="s")),
            "other namespace": signal_external(
                SignalExternal(execution=someone, signal_name="s", namespace="temporal-system")
            ),
        }
    )
