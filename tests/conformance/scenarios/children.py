"""Child workflows: their ends, their parents' ends, and children that cannot start."""

from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Header, Memo, RetryPolicy, WorkflowType
from temporalio.api.enums.v1 import EventType, ParentClosePolicy, WorkflowIdReusePolicy

from tests.conformance.commands import (
    cancel_external,
    cancel_workflow,
    complete_workflow,
    continue_in_a_second,
    fail_workflow,
    oversize,
    payload,
    payloads,
    seconds,
    shade,
    start_child,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED


async def start_with_child(w: Wire, change: StartChild | None = None) -> Wire:
    """A parent that knows its child has started; gives a hand on the child."""
    child = w.other("child")
    await w.start()
    await w.turn(start_child(child.name, child.queue, change))
    await w.turn()
    return child


@scenario
async def child_completes(w: Wire) -> None:
    """Everything a child is started with, and its result."""
    change = StartChild(
        input=payloads("in"),
        workflow_execution_timeout=seconds(60),
        workflow_run_timeout=seconds(50),
        workflow_task_timeout=seconds(5),
        control="mine",
        retry_policy=RetryPolicy(maximum_attempts=2),
        header=Header(fields={"trace": payload("on")}),
        memo=Memo(fields={"one": payload("1")}),
        search_attributes=shade("blue"),
    )
    child = await start_with_child(w, change)
    task = await child.workflow_task()
    await w.describe()
    await child.describe()
    await child.complete(task, complete_workflow("out"))
    await w.turn(complete_workflow())


@scenario
async def child_with_defaults(w: Wire) -> None:
    """A child that says only its id and type."""
    child = await start_with_child(w)
    await child.turn(complete_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_inherits_the_queue(w: Wire) -> None:
    """A child without a task queue works on its parent's."""
    await w.start()
    await w.turn(start_child(w.id("child"), ""))
    await w.event(STARTED)
    await w.event(SCHEDULED, w.id("child"))  # its first task comes after its parent has been told
    await w.describe(w.id("child"))


@scenario
async def child_fails(w: Wire) -> None:
    """A child's failure reaches its parent."""
    child = await start_with_child(w)
    await child.turn(fail_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_retries(w: Wire) -> None:
    """The parent hears only of the last run."""
    policy = RetryPolicy(maximum_attempts=2, initial_interval=seconds(1))
    child = await start_with_child(w, StartChild(retry_policy=policy))
    await child.turn(fail_workflow())
    await child.turn(fail_workflow())
    await w.turn(complete_workflow())


@scenario
async def child_continues_as_new(w: Wire) -> None:
    """The parent hears only of the last run."""
    child = await start_with_child(w)
    await child.turn(continue_in_a_second())
    await child.turn(complete_workflow("second"))
    await w.turn(complete_workflow())


@scenario
async def child_times_out(w: Wire) -> None:
    """A child's time-out reaches its parent."""
    await start_with_child(w, StartChild(workflow_run_timeout=seconds(1)))
    await w.turn(complete_workflow())


@scenario
async def child_terminated(w: Wire) -> None:
    """A child's termination reaches its parent."""
    child = await start_with_child(w)
    await child.terminate()
    await w.turn(complete_workflow())


@scenario
async def child_cancelled_by_its_parent(w: Wire) -> None:
    """The request reaches the child, the child's end reaches the parent."""
    child = await start_with_child(w)
    await w.signal()
    attributes = CancelExternal(workflow_id=child.name, child_workflow_only=True, reason="enough", control="mine")
    await w.turn(cancel_external(attributes))
    await w.turn()
    await child.turn(cancel_workflow("gone"))
    await w.turn(complete_workflow())


@scenario
async def child_already_exists(w: Wire) -> None:
    """A child whose id is taken does not start."""
    child = w.other("child")
    await child.start()
    await w.start()
    await w.turn(start_child(child.name, child.queue))
    await w.turn(complete_workflow())


@scenario
async def child_id_used_again(w: Wire) -> None:
    """After a child's close its id is free, unless the policy says no."""
    child = await start_with_child(w)
    await child.turn(complete_workflow())
    await w.turn(start_child(child.name, child.queue))
    await w.turn()
    await child.turn(complete_workflow())
    reject = StartChild(workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
    await w.turn(start_child(child.name, child.queue, reject))
    await w.turn(complete_workflow())


@scenario
async def child_terminated_with_its_parent(w: Wire) -> None:
    """The default policy when a parent closes."""
    child = await start_with_child(w)
    await w.signal()
    await w.turn(complete_workflow())
    await child.closed()


@scenario
async def child_asked_to_stop_with_its_parent(w: Wire) -> None:
    """The policy that requests cancellation; the child may take its time."""
    policy = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL
    child = await start_with_child(w, StartChild(parent_close_policy=policy))
    await child.turn()
    await w.terminate()
    await child.turn(cancel_workflow())


@scenario
async def child_abandoned_by_its_parent(w: Wire) -> None:
    """The policy that leaves the child alone."""
    policy = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
    child = await start_with_child(w, StartChild(parent_close_policy=policy))
    await w.terminate()
    await child.no_workflow_task(child.id("nothing"))
    await child.turn(complete_workflow())


@scenario
async def child_of_a_parent_that_continues_as_new(w: Wire) -> None:
    """The parent's successor does not inherit the child."""
    child = await start_with_child(w)
    await w.signal()
    await w.turn(continue_in_a_second())
    await child.closed()
    await w.turn(complete_workflow())


@scenario
async def child_started_and_parent_closed_in_one_task(w: Wire) -> None:
    """A child that has not started when its parent closes is never started, or is terminated."""
    await w.start()
    await w.turn(start_child(w.id("child"), w.id("child")), complete_workflow())


@scenario
async def child_bad_commands(w: Wire) -> None:
    """Children that cannot be started."""
    changes = {
        "negative execution timeout": StartChild(workflow_execution_timeout=seconds(-1)),
        "negative run timeout": StartChild(workflow_run_timeout=seconds(-1)),
        "negative task timeout": StartChild(workflow_task_timeout=seconds(-1)),
        "bad cron": StartChild(cron_schedule="tea time"),
        "bad retry policy": StartChild(retry_policy=RetryPolicy(maximum_attempts=-1)),
        "unknown search attribute": StartChild(),
        "long type": StartChild(workflow_type=WorkflowType(name="x" * 1001)),
        "other namespace": StartChild(namespace="temporal-system"),
    }
    changes["unknown search attribute"].search_attributes.indexed_fields["Unheard"].CopyFrom(payload("x"))
    no_type = start_child("child", w.queue)
    no_type.start_child_workflow_execution_command_attributes.ClearField("workflow_type")
    await w.each_alone(
        {
            "no id": start_child("", w.queue),
            "long id": start_child("x" * 1001, w.queue),
            "no type": no_type,
            "long queue": start_child("child", "x" * 1001),
            **{note: start_child("child", w.queue, change) for note, change in changes.items()},
            "oversize input": start_child("child", w.queue, StartChild(input=oversize())),
        }
    )
