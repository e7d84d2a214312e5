"""Pausing workflows: whom it is refused, what it is told by, and what a paused run is to others."""

import asyncio
import contextlib

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import (
    RequestCancelExternalWorkflowExecutionCommandAttributes,
    SignalExternalWorkflowExecutionCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes,
)
from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    ParentClosePolicy,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.filter.v1 import StartTimeFilter, WorkflowExecutionFilter
from temporalio.api.workflow.v1 import OnConflictOptions

from tests.conformance.commands import (
    cancel_external,
    complete_workflow,
    seconds,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.pausing import (
    pause,
    pause_attempt,
    pause_request,
    unpause,
    unpause_attempt,
    unpause_request,
    until_event,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import CALL_LIMIT_S, Stopped, Wire

CONFLICT_POLICIES = WorkflowIdConflictPolicy.values()[1:]
REUSE_POLICIES = WorkflowIdReusePolicy.values()[1:]
Start = api.StartWorkflowExecutionRequest
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING


@scenario
async def pause_idle_run(w: Wire) -> None:
    """A signal that comes while the run is paused is recorded, and its workflow task comes after."""
    await w.start()
    await w.turn()
    await pause(w)
    await w.describe()
    await w.signal()
    await w.describe()
    await unpause(w)
    await w.describe()
    await w.turn(complete_workflow())
    await w.describe()


@scenario
async def pause_refused(w: Wire) -> None:
    """Whom a pause or its end is no use to."""
    await pause_attempt(w, "no such workflow")
    await unpause_attempt(w, "no such workflow")
    await w.start()
    await unpause_attempt(w, "not paused")
    await pause(w)
    await pause_attempt(w, "again, with the same request id")
    request = pause_request(w)
    request.request_id = "other"
    await w.attempt(w.rpc.PauseWorkflowExecution, request, note="again, with another request id")
    await unpause(w)
    await unpause_attempt(w, "again, with the same request id")
    await pause_attempt(w, "again, with the first request id")
    await unpause_attempt(w, "again, with the first request id")
    await w.turn(complete_workflow())
    await pause_attempt(w, "closed")
    await unpause_attempt(w, "closed")


@scenario
async def pause_bad_requests(w: Wire) -> None:
    """What makes no sense is refused."""
    long = "x" * 1001
    await w.start()
    cases: dict[str, api.PauseWorkflowExecutionRequest] = {
        "run id": api.PauseWorkflowExecutionRequest(run_id="no uuid"),
        "other run": api.PauseWorkflowExecutionRequest(run_id="00000000-0000-0000-0000-000000000000"),
        "long reason": api.PauseWorkflowExecutionRequest(reason=long),
        "long identity": api.PauseWorkflowExecutionRequest(identity=long),
        "long request id": api.PauseWorkflowExecutionRequest(request_id=long),
        "long workflow id": api.PauseWorkflowExecutionRequest(workflow_id=long),
        "no such namespace": api.PauseWorkflowExecutionRequest(namespace="nowhere"),
    }
    for note, change in cases.items():
        await w.attempt(w.rpc.PauseWorkflowExecution, pause_request(w, change), note=note)
        other = api.UnpauseWorkflowExecutionRequest()
        for field, value in change.ListFields():
            setattr(other, field.name, value)
        await w.attempt(w.rpc.UnpauseWorkflowExecution, unpause_request(w, other), note=note)
    bare = api.PauseWorkflowExecutionRequest(namespace=w.namespace)
    await w.attempt(w.rpc.PauseWorkflowExecution, bare, note="no workflow id")
    await w.attempt(
        w.rpc.UnpauseWorkflowExecution,
        api.UnpauseWorkflowExecutionRequest(namespace=w.namespace),
        note="no workflow id",
    )
    bare.workflow_id = w.id()
    await w.attempt(w.rpc.PauseWorkflowExecution, bare, note="nothing but the workflow id")
    await w.describe()
    await w.attempt(
        w.rpc.UnpauseWorkflowExecution,
        api.UnpauseWorkflowExecutionRequest(namespace=w.namespace, workflow_id=w.id()),
        note="nothing but the workflow id",
    )


@scenario
async def pause_timer_fires(w: Wire) -> None:
    """Timers fire; the workflow hears of it when it goes on."""
    await w.start()
    await w.turn(start_timer("t", 1))
    await pause(w)
    await until_event(w, EventType.EVENT_TYPE_TIMER_FIRED)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_seen_by_who_waits(w: Wire) -> None:
    """Who waits for the run's end is told of its pause, as if that were it; so is who waits for the next event."""
    await w.start()
    await w.turn()
    for only_close in (True, False):
        request = api.GetWorkflowExecutionHistoryRequest(
            namespace=w.namespace,
            execution=w.execution(),
            wait_new_event=True,
            history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
            if only_close
            else HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT,
        )
        if not only_close:
            first = await w.unrecorded(w.rpc.GetWorkflowExecutionHistory, request)
            request.next_page_token = first.next_page_token
        waits = asyncio.ensure_future(w.call(w.rpc.GetWorkflowExecutionHistory, request, note=f"waits {only_close}"))
        await w.let_time_pass(1)
        await pause(w)
        await waits
        await w.call(w.rpc.GetWorkflowExecutionHistory, request, note="asked while paused")
        await unpause(w)
        await w.turn()


@scenario
async def pause_wrong_in_many_ways(w: Wire) -> None:
    """Which mistake is told first."""
    long = "x" * 1001
    wrong = {"reason": long, "identity": long, "request_id": long, "run_id": "no uuid", "workflow_id": ""}
    for name in ("", "reason", "identity", "request_id", "run_id", "workflow_id"):
        if name:
            wrong[name] = "" if name != "workflow_id" else w.id()
        request = api.PauseWorkflowExecutionRequest(namespace=w.namespace, **wrong)
        await w.attempt(w.rpc.PauseWorkflowExecution, request, note=f"now with good {name}")


@scenario
async def pause_without_request_id(w: Wire) -> None:
    """Two pauses without a request id are not the same one."""
    await w.start()
    bare = api.PauseWorkflowExecutionRequest(namespace=w.namespace, workflow_id=w.id())
    await w.attempt(w.rpc.PauseWorkflowExecution, bare, note="first")
    await w.attempt(w.rpc.PauseWorkflowExecution, bare, note="second")


@scenario
async def pause_deleted(w: Wire) -> None:
    """A paused run can be deleted."""
    await w.start()
    await pause(w)
    request = api.DeleteWorkflowExecutionRequest(namespace=w.namespace, workflow_execution=w.execution())
    await w.call(w.rpc.DeleteWorkflowExecution, request)
    described = api.DescribeWorkflowExecutionRequest(namespace=w.namespace, execution=w.execution())
    async with asyncio.timeout(CALL_LIMIT_S):
        with contextlib.suppress(Stopped):
            while True:
                await w.unrecorded(w.rpc.DescribeWorkflowExecution, described)
                await asyncio.sleep(0.05)


@scenario
async def pause_external_signal_and_cancel(w: Wire) -> None:
    """Other runs' signals and requests to cancel reach a paused run."""
    await w.start()
    await w.turn()
    await pause(w)
    other = w.other("other")
    await other.start()
    await other.turn(
        signal_external(SignalExternalWorkflowExecutionCommandAttributes(execution=w.execution(), signal_name="hello"))
    )
    await other.turn(
        cancel_external(RequestCancelExternalWorkflowExecutionCommandAttributes(workflow_id=w.id(), reason="enough"))
    )
    await other.turn(complete_workflow())
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_parent_before_child_starts(w: Wire) -> None:
    """Children that the last task before the pause asked for are started."""
    await w.start()
    task = await w.workflow_task()
    await pause(w)
    child = w.other("child")
    await w.complete(task, start_child(child.name, child.queue))
    await child.turn(complete_workflow())
    await until_event(w, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_terminated(w: Wire) -> None:
    """A paused run can be terminated."""
    await w.start()
    await pause(w)
    await w.terminate()
    await w.describe()


@scenario
async def pause_canceled(w: Wire) -> None:
    """A request to cancel is recorded, and told when the run goes on."""
    await w.start()
    await w.turn()
    await pause(w)
    await w.call(w.rpc.RequestCancelWorkflowExecution, w.cancel_request())
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_run_times_out(w: Wire) -> None:
    """The run's time runs on."""
    await w.start(Start(workflow_run_timeout=seconds(2)))
    await pause(w)
    await until_event(w, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT)
    await w.describe()


@scenario
async def pause_policies(w: Wire) -> None:
    """To a start a paused run is a running one."""
    await w.start()
    await pause(w)
    await w.start(note="the same request")
    for policy in CONFLICT_POLICIES:
        request = w.start_request(Start(request_id=f"again-{policy}", workflow_id_conflict_policy=policy))
        reply = await w.attempt(w.rpc.StartWorkflowExecution, request, note=WorkflowIdConflictPolicy.Name(policy))
        w.transcript.ran(w.name, reply.run_id if reply else "")


@scenario
async def pause_reuse_policies(w: Wire) -> None:
    """To a start a paused run is a running one."""
    for policy in REUSE_POLICIES:
        other = w.other(str(policy))
        await other.start()
        await pause(other)
        request = other.start_request(Start(request_id="again", workflow_id_reuse_policy=policy))
        reply = await w.attempt(w.rpc.StartWorkflowExecution, request, note=WorkflowIdReusePolicy.Name(policy))
        w.transcript.ran(other.name, reply.run_id if reply else "")


@scenario
async def pause_signal_with_start(w: Wire) -> None:
    """A signal-with-start signals the paused run."""
    await w.start()
    await w.turn()
    await pause(w)
    await w.call(
        w.rpc.SignalWithStartWorkflowExecution,
        api.SignalWithStartWorkflowExecutionRequest(
            namespace=w.namespace,
            workflow_id=w.id(),
            workflow_type=w.start_request().workflow_type,
            task_queue=w.start_request().task_queue,
            signal_name="s",
            request_id="sws",
            identity="client",
        ),
    )
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_child_closes(w: Wire) -> None:
    """A child's end is recorded with the paused parent."""
    await w.start()
    child = w.other("child")
    await w.turn(start_child(child.name, child.queue))
    await w.event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await w.turn()
    await pause(w)
    await child.turn(complete_workflow())
    await until_event(w, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_delayed_start(w: Wire) -> None:
    """A delayed start whose delay is over while it is paused waits for the end of the pause."""
    await w.start(Start(workflow_start_delay=seconds(1)))
    await pause(w)
    await w.describe()
    await w.let_time_pass(2)
    await w.describe()
    await unpause(w)
    await w.turn(complete_workflow())


@scenario
async def pause_ends_within_delay(w: Wire) -> None:
    """A delayed start that goes on before its delay is over still waits."""
    await w.start(Start(workflow_start_delay=seconds(2)))
    await pause(w)
    await unpause(w)
    await w.describe()
    await w.turn(complete_workflow())


@scenario
async def pause_listed(w: Wire) -> None:
    """Lists show and find paused runs."""
    await w.start()
    await pause(w)
    query = f"WorkflowId = '{w.id()}' AND ExecutionStatus = 'Paused'"
    request = api.ListWorkflowExecutionsRequest(namespace=w.namespace, query=query)
    await w.until(w.rpc.ListWorkflowExecutions, request, lambda reply: len(reply.executions) == 1)
    await unpause(w)
    request.query = f"WorkflowId = '{w.id()}' AND ExecutionStatus = 'Running'"
    await w.until(w.rpc.ListWorkflowExecutions, request, lambda reply: len(reply.executions) == 1)
    await w.turn(complete_workflow())


@scenario
async def pause_reset(w: Wire) -> None:
    """The run that a reset makes of a paused one."""
    await w.start()
    await w.turn()
    await pause(w)
    reply = await w.call(
        w.rpc.ResetWorkflowExecution,
        api.ResetWorkflowExecutionRequest(
            namespace=w.namespace,
            workflow_execution=w.execution(),
            reason="again",
            workflow_task_finish_event_id=4,
            request_id="reset",
        ),
    )
    w.transcript.ran(w.name, reply.run_id)
    await w.describe()


@scenario
async def pause_child(w: Wire) -> None:
    """A paused child waits; its parent's close ends it."""
    await w.start()
    child = w.other("child")
    await w.turn(
        start_child(
            child.name,
            child.queue,
            StartChildWorkflowExecutionCommandAttributes(
                parent_close_policy=ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
            ),
        )
    )
    await w.event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await child.turn()
    await pause(child)
    await w.turn(complete_workflow())
    await child.closed()


@scenario
async def pause_attach(w: Wire) -> None:
    """A start may attach itself to a paused run."""
    await w.start()
    await w.turn()
    await pause(w)
    request = w.start_request(
        Start(
            request_id="second",
            workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
            on_conflict_options=OnConflictOptions(attach_request_id=True),
        )
    )
    await w.attempt(w.rpc.StartWorkflowExecution, request)
    await w.attempt(w.rpc.StartWorkflowExecution, request)
    await w.describe()


@scenario
async def pause_counted_and_listed_by_old_calls(w: Wire) -> None:
    """Counts by status know paused runs; the old lists take them for neither running nor completed."""
    await w.start()
    await pause(w)
    query = f"WorkflowId = '{w.id()}' AND ExecutionStatus = 'Paused'"
    count = api.CountWorkflowExecutionsRequest(namespace=w.namespace, query=query)
    await w.until(w.rpc.CountWorkflowExecutions, count, lambda reply: reply.count == 1)
    count.query = f"WorkflowId = '{w.id()}' GROUP BY ExecutionStatus"
    await w.call(w.rpc.CountWorkflowExecutions, count)
    this = WorkflowExecutionFilter(workflow_id=w.id())
    past = StartTimeFilter()
    past.latest_time.GetCurrentTime()
    past.latest_time.seconds += 60
    past.earliest_time.seconds = 1
    opened = api.ListOpenWorkflowExecutionsRequest(
        namespace=w.namespace, start_time_filter=past, execution_filter=this, maximum_page_size=10
    )
    await w.attempt(w.rpc.ListOpenWorkflowExecutions, opened)
    closed = api.ListClosedWorkflowExecutionsRequest(
        namespace=w.namespace, start_time_filter=past, execution_filter=this, maximum_page_size=10
    )
    await w.attempt(w.rpc.ListClosedWorkflowExecutions, closed)
