"""The clients of random programs: they start, signal, update, query, cancel and end workflows, and look at them."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, cast

import grpc
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, Memo, Priority, RetryPolicy, WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType, QueryRejectCondition, UpdateWorkflowExecutionLifecycleStage
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy as Conflict
from temporalio.api.enums.v1 import WorkflowIdReusePolicy as Reuse
from temporalio.api.sdk.v1 import UserMetadata

from tests.conformance.commands import payload, payloads, seconds, shade
from tests.conformance.scenarios.queries import answer as answer_query
from tests.conformance.scenarios.queries import query
from tests.conformance.scenarios.signals import signal_with_start
from tests.conformance.scenarios.update_with_start import both
from tests.conformance.scenarios.updates import poll, update
from tests.conformance.transcript import Refusal
from tests.conformance.wire import Stopped
from tests.random_programs.story import Flow, Story

Start = api.StartWorkflowExecutionRequest
Signal = api.SignalWorkflowExecutionRequest

ADMITTED = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
IMPATIENT_S = 2
UPDATE_LIMIT_S = 60.0
UNKNOWN_RUN = "11111111-1111-1111-1111-111111111111"


def random_start(flow: Flow, dice: Random) -> Start:
    """A start with some of the fields that matter later."""
    change = Start(workflow_task_timeout=seconds(dice.choice((60, 90, 120))), input=payloads("in"))
    if dice.random() < 0.3:
        change.retry_policy.CopyFrom(
            RetryPolicy(
                initial_interval=seconds(dice.choice((0.1, 0.1, 60))),
                maximum_attempts=dice.choice((2, 3)),
                non_retryable_error_types=dice.choice(([], ["Boom"])),
            )
        )
    if dice.random() < 0.3:
        change.memo.CopyFrom(Memo(fields={"x": payload("0")}))
        change.search_attributes.CopyFrom(shade("white"))
    if dice.random() < 0.2:
        change.header.CopyFrom(Header(fields={"trace": payload("on")}))
        change.priority.CopyFrom(Priority(priority_key=dice.choice((1, 3))))
        change.user_metadata.CopyFrom(UserMetadata(summary=payload("short")))
    if dice.random() < 0.3:
        change.workflow_execution_timeout.CopyFrom(seconds(900))
    if dice.random() < 0.3:
        change.workflow_run_timeout.CopyFrom(seconds(600))
    if dice.random() < 0.05 and not change.HasField("retry_policy"):
        change.workflow_run_timeout.CopyFrom(seconds(1))
    elif dice.random() < 0.05:
        change.cron_schedule = "@every 1s"
    return change


async def start(_: Story, flow: Flow, dice: Random) -> None:
    """Start a workflow whose id may be taken, under any policies."""
    change = random_start(flow, dice)
    change.request_id = dice.choice((flow.new_id("request"), flow.new_id("request"), "request1"))
    if flow.exists:
        change.workflow_id_reuse_policy = dice.choice(Reuse.values())
        change.workflow_id_conflict_policy = dice.choice(Conflict.values())
    nature = dice.choices(("plain", "delayed", "eager"), (8, 1, 1))[0]
    if nature == "delayed":
        change.workflow_start_delay.CopyFrom(seconds(3600))
        change.cron_schedule = ""
    change.request_eager_execution = nature == "eager" and change.workflow_run_timeout.seconds != 1
    if dice.random() < 0.1:
        change.workflow_task_timeout.CopyFrom(seconds(IMPATIENT_S))
    request = flow.w.start_request(change)
    request.request_id = change.request_id
    reply = await flow.w.attempt(flow.w.rpc.StartWorkflowExecution, request)
    if reply is not None and reply.eager_workflow_task.task_token:
        flow.drop_task()
        flow.eager = flow.in_hand_now(reply.eager_workflow_task)


async def signal_and_start(_: Story, flow: Flow, dice: Random) -> None:
    """Signal a workflow that may have to be started for it."""
    change = api.SignalWithStartWorkflowExecutionRequest(
        workflow_task_timeout=seconds(60),
        workflow_id_reuse_policy=dice.choice(Reuse.values()),
        workflow_id_conflict_policy=dice.choice(Conflict.values()),
    )
    request = signal_with_start(flow.w, change)
    request.request_id = flow.new_id("request")
    await flow.w.attempt(flow.w.rpc.SignalWithStartWorkflowExecution, request)


def some_run(flow: Flow, dice: Random) -> WorkflowExecution:
    """Mostly the current run, by name or not; sometimes an old one, or one that never was."""
    return flow.w.execution(run_id=dice.choice(("", "", "", flow.run_id, dice.choice(flow.runs), UNKNOWN_RUN)))


async def signal(_: Story, flow: Flow, dice: Random) -> None:
    """Signal a workflow, sometimes with the id of an earlier request."""
    change = Signal(
        workflow_execution=some_run(flow, dice),
        signal_name=dice.choice(("go", "stop")),
        request_id=dice.choice(("", flow.new_id("request"), "signal")),
        input=payloads("hello"),
    )
    await flow.w.attempt(flow.w.rpc.SignalWorkflowExecution, flow.w.signal_request(change))


async def cancel(_: Story, flow: Flow, dice: Random) -> None:
    """Ask a workflow to stop."""
    change = api.RequestCancelWorkflowExecutionRequest(
        workflow_execution=some_run(flow, dice), request_id=dice.choice(("", "cancel"))
    )
    await flow.w.attempt(flow.w.rpc.RequestCancelWorkflowExecution, flow.w.cancel_request(change))


async def terminate(_: Story, flow: Flow, dice: Random) -> None:
    """End a workflow."""
    change = api.TerminateWorkflowExecutionRequest(
        workflow_execution=some_run(flow, dice), details=payloads("for good") if dice.random() < 0.5 else None
    )
    await flow.w.attempt(flow.w.rpc.TerminateWorkflowExecution, flow.w.terminate_request(change))


async def update_it(story: Story, flow: Flow, dice: Random) -> None:
    """Send an update, new or repeated, and go on once the server has it; the caller waits for what becomes of it."""
    again = [*flow.updates, ""]
    update_id = (dice.choice(again) if dice.random() < 0.2 else "") or flow.new_id("update")
    flow.updates.append(update_id)
    request = update(flow.w, update_id, dice.choice(("ACCEPTED", "COMPLETED")))
    caller = asyncio.create_task(flow.w.attempt(flow.w.rpc.UpdateWorkflowExecution, request, limit_s=UPDATE_LIMIT_S))
    await _until_admitted(story, flow, update_id, caller)


async def update_with_start(story: Story, flow: Flow, dice: Random) -> None:
    """Send an update to a workflow that may have to be started for it."""
    change = Start(workflow_task_timeout=seconds(60), workflow_id_reuse_policy=dice.choice(Reuse.values()))
    request = both(flow.w, dice.choice((Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, *Conflict.values())), change)
    request.operations[0].start_workflow.request_id = flow.new_id("request")
    update_id = request.operations[1].update_workflow.request.meta.update_id = flow.new_id("update")
    caller = asyncio.create_task(_ask_with_start(story, flow, request))
    flow.updates.append(update_id)
    await _until_admitted(story, flow, update_id, caller)


async def _ask_with_start(story: Story, flow: Flow, request: api.ExecuteMultiOperationRequest) -> None:
    """What becomes of it once the story is over is not told: servers try again, and how often is a matter of time."""
    entry = flow.w.transcript.enter("ExecuteMultiOperation")
    send = cast(Callable[..., Awaitable[Message]], flow.w.rpc.ExecuteMultiOperation)
    outcome: Message | Refusal
    try:
        outcome = await send(request, timeout=UPDATE_LIMIT_S)
    except grpc.aio.AioRpcError as error:
        outcome = Refusal.of(error)
    if not story.is_over:
        flow.w.transcript.settle(entry, outcome)


async def _until_admitted(story: Story, flow: Flow, update_id: str, caller: "asyncio.Task[Any]") -> None:
    story.callers.append(caller)
    known = poll(flow.w, update_id, "UNSPECIFIED")
    while not caller.done():
        try:
            reply = await flow.w.unrecorded(flow.w.rpc.PollWorkflowExecutionUpdate, known)
        except Stopped:
            await asyncio.wait([caller], timeout=0.02)
            continue
        in_hand_too = flow.held is not None and any(
            each.protocol_instance_id == update_id for each in flow.held.messages
        )
        await story.look(flow)  # it may have been started just now
        flow.undelivered |= reply.stage == ADMITTED and not in_hand_too
        if reply.stage == ADMITTED:
            flow.waiting.add(update_id)
        return


async def query_it(_: Story, flow: Flow, dice: Random) -> None:
    """Ask a workflow whose worker has nothing else to do, or that is closed; the worker answers."""
    condition = dice.choice(("UNSPECIFIED", "NONE", "NOT_OPEN", "NOT_COMPLETED_CLEANLY"))
    request = query(flow.w, condition)
    caller = asyncio.create_task(flow.w.attempt(flow.w.rpc.QueryWorkflow, request))
    if not _is_refused(flow, request.query_reject_condition):
        task = await flow.w.workflow_task()
        await flow.w.attempt(flow.w.rpc.RespondQueryTaskCompleted, answer_query(flow.w, task))
    await caller


def _is_refused(flow: Flow, condition: QueryRejectCondition.ValueType) -> bool:
    completed = flow.status_name == "COMPLETED"
    match condition:
        case QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_OPEN:
            return not flow.is_open
        case QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY:
            return not flow.is_open and not completed
    return False


async def describe(_: Story, flow: Flow, __: Random | None = None) -> None:
    """Look at a workflow. What is pending is told in no order."""
    seen = await flow.w.describe()
    seen.pending_activities.sort(key=lambda activity: activity.activity_id)
    seen.pending_children.sort(key=lambda child: child.initiated_id)
    info = seen.workflow_execution_info
    if not info.auto_reset_points.points:
        info.ClearField("auto_reset_points")  # empty or absent, as the run was started (by an update or not)


async def read_back(_: Story, flow: Flow, dice: Random) -> None:
    """Read the last events of a run, or its end."""
    if dice.random() < 0.5:
        request = api.GetWorkflowExecutionHistoryReverseRequest(
            namespace=flow.w.namespace, execution=some_run(flow, dice), maximum_page_size=2
        )
        await flow.w.attempt(flow.w.rpc.GetWorkflowExecutionHistoryReverse, request)
        return
    end = api.GetWorkflowExecutionHistoryRequest(
        namespace=flow.w.namespace,
        execution=some_run(flow, dice),
        history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
    )
    await flow.w.attempt(flow.w.rpc.GetWorkflowExecutionHistory, end)
