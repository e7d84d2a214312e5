"""What a server refuses because it is too much."""

import asyncio

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Memo
from temporalio.api.enums.v1 import EventType

from tests.conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    modify_properties,
    oversize,
    record_marker,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios.activities import start_activity
from tests.conformance.scenarios.queries import query
from tests.conformance.scenarios.updates import admitted, ask, idle_workflow, update
from tests.conformance.wire import Wire


@scenario
async def oversize_commands(w: Wire) -> None:
    """A command over the limit of a blob ends its workflow."""
    completed, cancelled, marker = complete_workflow(), cancel_workflow(), record_marker("m")
    completed.complete_workflow_execution_command_attributes.result.CopyFrom(oversize())
    cancelled.cancel_workflow_execution_command_attributes.details.CopyFrom(oversize())
    marker.record_marker_command_attributes.details["big"].CopyFrom(oversize())
    someone = w.execution("someone")
    await w.each_alone(
        {
            "complete": completed,
            "fail": fail_workflow(failure("x" * (2 * 1024 * 1024 + 1))),
            "cancel": cancelled,
            "marker": marker,
            "activity": schedule_activity("a", w.queue, Schedule(input=oversize())),
            "child": start_child(w.id("child"), w.queue, StartChild(input=oversize())),
            "signal": signal_external(SignalExternal(execution=someone, signal_name="s", input=oversize())),
            "continue as new": continue_as_new(Continue(input=oversize())),
            "memo": modify_properties(Modify(upserted_memo=Memo(fields={"big": oversize().payloads[0]}))),
        }
    )


@scenario
async def activity_failure_too_long(w: Wire) -> None:
    """Of a long failure only a part is kept between attempts."""
    task = await start_activity(w)
    await w.fail_activity(task, failure("x" * 6000))
    await w.describe()
    await w.complete_activity(await w.activity_task())
    await w.turn(complete_workflow())


@scenario
async def activity_failure_oversize(w: Wire) -> None:
    """A failure over the limit of a blob is replaced."""
    task = await start_activity(w)
    why = failure()
    why.application_failure_info.details.CopyFrom(oversize())
    await w.fail_activity(task, why)
    await w.turn(complete_workflow())


@scenario
async def queries_too_many(w: Wire) -> None:
    """One query waits with a workflow task; another is refused."""
    await w.start()
    await w.turn()
    await w.signal()
    first = asyncio.create_task(w.attempt(w.rpc.QueryWorkflow, query(w), note="first"))
    await w.let_time_pass(1)
    await w.attempt(w.rpc.QueryWorkflow, query(w), note="second")
    first.cancel()


@scenario
async def updates_too_many(w: Wire) -> None:
    """Ten updates wait; another is refused."""
    await w.start()
    asked = []
    for number in range(10):
        asked.append(ask(w, update(w, str(number))))
        await admitted(w, str(number))
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w, "one more"))
    for each in asked:
        each.cancel()
    await w.terminate()


@scenario
async def update_failing_workflow(w: Wire) -> None:
    """A workflow whose task keeps failing cannot be updated."""
    await w.start()
    for _ in range(3):
        await w.fail_workflow_task(await w.workflow_task())
    await w.attempt(w.rpc.UpdateWorkflowExecution, update(w))


@scenario
async def update_task_lost(w: Wire) -> None:
    """The task of an update that a worker took and lost is a task like others; the update comes again."""
    await w.start(api.StartWorkflowExecutionRequest(workflow_task_timeout=seconds(1)))
    await w.turn()
    asked = ask(w)
    await w.workflow_task()
    await w.event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    await w.turn(complete_workflow())
    await asked


@scenario
async def update_idle_workflow_fails_its_task(w: Wire) -> None:
    """A failed task of an update is written; the update comes again with the next attempt."""
    await idle_workflow(w)
    asked = ask(w)
    await w.fail_workflow_task(await w.workflow_task())
    await w.turn(complete_workflow())
    await asked
