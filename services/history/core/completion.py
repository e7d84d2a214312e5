"""A worker's answer to a workflow task: its commands and messages become events, or the task fails."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType
from temporalio.api.failure.v1 import Failure, ServerFailureInfo
from temporalio.api.history.v1 import WorkflowTaskCompletedEventAttributes
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Rejection as UpdateRejection
from temporalio.api.workflowservice.v1 import RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskFailedRequest

from services.history.core.apply import Item
from services.history.core.close import SERVICE_IDENTITY, terminate_run
from services.history.core.commands import CLOSING, DECIDE, NOT_BUILT, BadCommand, Completion
from services.history.core.commands.refusal import Cause
from services.history.core.decision import Decision, Given
from services.history.core.draft import RETURNED_REQUEST_ID, Draft
from services.history.core.finish import finish
from services.history.core.indexed import forget_problem
from services.history.core.names import cause_name, command_name
from services.history.core.rejection import Reason, Rejection, invalid, task_not_found
from services.history.core.run import Run, copy_fields, copy_of
from services.history.core.times import ns_of
from services.history.core.updates import reject_at_close, reject_unanswered, take_message
from services.history.core.workflow_task import fail_task, schedule_task, start_task, time_out_task
from services.protos.run_pb2 import Task, TaskToken, WorkflowTask

BARE_TASK_DISTANCE = 2  # the last task's start, its completion, then the speculative task
DISCARDED_EVENTS_MAX = 10  # history.discardSpeculativeWorkflowTaskMaximumEventsCount
NOT_THE_WORKERS_FAULT = (
    Cause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    Cause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
)
UNHANDLED = Cause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a completion did. `error` is answered to the worker after the decision is committed."""

    decision: Decision
    error: Rejection | None = None
    new_task_started: bool = False  # the next workflow task travels in the reply
    eager_activities: tuple[int, ...] = ()  # scheduled event ids of activities that travel in the reply
    reset_history_event_id: int = 0  # a dropped speculative task: the worker rolls its history back to here


def require_task(run: Run, token: TaskToken) -> WorkflowTask:
    """The started workflow task that the token was given for; refused when it is another one, or over."""
    task = run.info.task
    if (
        not run.is_open
        or not run.info.HasField("task")
        or not task.started_event_id
        or task.scheduled_event_id != token.scheduled_event_id
        or task.started_event_id != token.started_event_id
        or task.attempt != token.attempt
        or task.request_id != token.request_id
    ):
        raise task_not_found()
    return task


def complete_task(
    run: Run, given: Given, token: TaskToken, request: RespondWorkflowTaskCompletedRequest, namespace: str
) -> Completed:
    """Raises a Rejection when nothing at all is done: a stale token, commands that cannot be a sequence."""
    task = require_task(run, token)
    _require_sequence(request.commands)
    if run.is_paused and request.force_create_new_workflow_task:
        text = "Workflow is paused and force create new workflow task is not allowed."
        raise Rejection(Reason.FAILED_PRECONDITION, text)
    if not all(message.HasField("body") for message in request.messages):
        raise invalid("nil message body")
    if not all(message.body.TypeName() for message in request.messages):
        raise invalid("no message name specified")
    try:
        if _may_drop(run, task, request):
            return _drop_speculative(run, given, request)
        return _complete(run, given, request, namespace)
    except BadCommand as bad:
        return _refuse(run, given, bad, request)


def _require_sequence(commands: Sequence[Command]) -> None:
    names = [command_name(command.command_type) for command in commands]
    for command in commands:
        if command.command_type not in _KNOWN:
            raise invalid(f"unknown command type: {command_name(command.command_type)}")
    for command in commands[:-1]:
        if command.command_type in CLOSING:
            raise invalid(
                f"invalid command sequence: [{', '.join(names)}], command {command_name(command.command_type)} "
                "must be the last command."
            )


def _closes(commands: Sequence[Command]) -> bool:
    return bool(commands) and commands[-1].command_type in CLOSING


_KNOWN = frozenset(DECIDE) | NOT_BUILT | {CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE}


def _may_drop(run: Run, task: WorkflowTask, request: RespondWorkflowTaskCompletedRequest) -> bool:
    """A speculative task whose updates were all rejected leaves no trace."""
    return (
        task.kind == WorkflowTask.SPECULATIVE
        and not request.commands
        and not request.force_create_new_workflow_task
        and bool(request.messages)
        and all(message.body.Is(UpdateRejection.DESCRIPTOR) for message in request.messages)
        and not run.buffered
        and _worker_can_forget(run, task, request)
    )


def _worker_can_forget(run: Run, task: WorkflowTask, request: RespondWorkflowTaskCompletedRequest) -> bool:
    """A worker rolls back the bare task events; more only if it says that it can, and not many."""
    between = task.scheduled_event_id - run.info.previous_started_event_id
    able = request.capabilities.discard_speculative_workflow_task_with_events
    return between == BARE_TASK_DISTANCE or (able and between <= BARE_TASK_DISTANCE + DISCARDED_EVENTS_MAX)


def _drop_speculative(run: Run, given: Given, request: RespondWorkflowTaskCompletedRequest) -> Completed:
    draft = Draft(run, given)
    for message in request.messages:
        take_message(draft, message)
    reject_unanswered(draft)
    draft.info.ClearField("task")
    if draft.run.admitted:
        schedule_task(draft, speculative=True)
    return Completed(decision=finish(draft), reset_history_event_id=draft.info.previous_started_event_id)


def _complete(run: Run, given: Given, request: RespondWorkflowTaskCompletedRequest, namespace: str) -> Completed:
    draft = Draft(run, given)
    draft.run.closing = False
    task = copy_of(draft.info.task)
    if _heartbeats_too_long(draft, task, request):
        return Completed(decision=finish(draft), error=Rejection(Reason.NOT_FOUND, "workflow task heartbeat timeout"))
    draft.write_owed_task_events()
    completion = Completion(
        event_id=draft.add(_completed_attributes(task, request)).event_id,
        namespace=namespace,
        identity=request.identity,
        eager_request_id="" if _closes(request.commands) else given.request_id,
    )
    if forget_problem(draft.run) or run.build_id != draft.run.build_id:
        draft.push(Task.UPDATE_VISIBILITY)
    _keep_stickiness(draft, request)
    _take_commands(draft, request, completion)
    if not draft.run.is_open:
        return Completed(decision=finish(draft))  # (one that is closed is never too large)
    reject_unanswered(draft, may_come_later=request.force_create_new_workflow_task)
    _schedule_next(draft, task, request)
    started = _start_next(draft, request)
    eager = tuple(sorted(_started_eagerly(run, draft)))
    decision = finish(draft)
    return Completed(decision=decision, error=decision.refused, new_task_started=started, eager_activities=eager)


def _started_eagerly(run: Run, draft: Draft) -> Iterable[int]:
    for item, key in draft.changes:
        if item == Item.ACTIVITY and isinstance(key, int) and key not in run.activities:
            activity = draft.run.activities.get(key)
            if activity is not None and activity.started_time_ns:
                yield key


def _completed_attributes(
    task: WorkflowTask, request: RespondWorkflowTaskCompletedRequest
) -> WorkflowTaskCompletedEventAttributes:
    attributes = WorkflowTaskCompletedEventAttributes(
        scheduled_event_id=task.scheduled_event_id,
        started_event_id=task.started_event_id,
        identity=request.identity,
        binary_checksum=request.binary_checksum,
        versioning_behavior=request.versioning_behavior,
    )
    if request.HasField("worker_version_stamp"):
        attributes.worker_version.CopyFrom(request.worker_version_stamp)
    elif task.HasField("worker_version"):
        attributes.worker_version.CopyFrom(task.worker_version)
    copy_fields(request, attributes, ("sdk_metadata", "metering_metadata"))
    return attributes


def _keep_stickiness(draft: Draft, request: RespondWorkflowTaskCompletedRequest) -> None:
    sticky = request.sticky_attributes
    draft.info.ClearField("sticky")
    if request.HasField("sticky_attributes") and sticky.worker_task_queue.name:
        draft.info.sticky.task_queue = sticky.worker_task_queue.name
        draft.info.sticky.schedule_to_start_timeout_ns = ns_of(sticky.schedule_to_start_timeout)


def _take_commands(draft: Draft, request: RespondWorkflowTaskCompletedRequest, completion: Completion) -> None:
    messages = list(request.messages)
    unseen = set(draft.run.buffered)
    for command in request.commands:
        if command.command_type == CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE:
            take_message(draft, _referenced(messages, command))
            continue
        if command.command_type in NOT_BUILT:
            raise BadCommand(Cause.WORKFLOW_TASK_FAILED_CAUSE_FEATURE_DISABLED, "Nexus operations are not built yet")
        if command.command_type in CLOSING:
            if not draft.run.is_open:
                continue
            if draft.run.buffered.keys() & unseen:
                raise BadCommand(UNHANDLED, "UnhandledCommand")
        DECIDE[command.command_type](draft, command, completion)
    for message in messages:
        if draft.run.is_open:
            take_message(draft, message)
        else:
            reject_at_close(draft, message)


def _referenced(messages: list[ProtocolMessage], command: Command) -> ProtocolMessage:
    bad = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE
    message_id = command.protocol_message_command_attributes.message_id
    if not command.HasField("protocol_message_command_attributes"):
        raise BadCommand(bad, "ProtocolMessageCommandAttributes is not set on ProtocolMessageCommand.")
    if not message_id:
        raise BadCommand(bad, "MessageID is not set on ProtocolMessageCommand.")
    message = next((each for each in messages if each.id == message_id), None)
    if message is None:
        raise BadCommand(bad, f"ProtocolMessageCommand referenced absent message ID {message_id}")
    messages.remove(message)
    return message


def _heartbeats_too_long(draft: Draft, task: WorkflowTask, request: RespondWorkflowTaskCompletedRequest) -> bool:
    """A worker may keep a workflow task alive with empty completions only for so long."""
    if not request.force_create_new_workflow_task or request.commands or request.messages:
        return False
    if draft.now_ns - task.original_scheduled_time_ns < draft.given.limits.task_heartbeat_max_ns:
        return False
    time_out_task(draft)
    return True


def _schedule_next(draft: Draft, task: WorkflowTask, request: RespondWorkflowTaskCompletedRequest) -> None:
    flushed = draft.flush()
    heartbeat = request.force_create_new_workflow_task and not request.commands and not request.messages
    if flushed or request.force_create_new_workflow_task:
        schedule_task(draft, heartbeat_since_ns=task.original_scheduled_time_ns if heartbeat else 0)
    elif draft.run.admitted:
        schedule_task(draft, speculative=True)


def _start_next(draft: Draft, request: RespondWorkflowTaskCompletedRequest) -> bool:
    if not request.return_new_workflow_task or not draft.info.HasField("task"):
        return False
    task = draft.info.task
    draft.speculates = task.kind == WorkflowTask.SPECULATIVE
    start_task(
        draft,
        scheduled_event_id=task.scheduled_event_id,
        stamp=task.attempt,
        request_id=RETURNED_REQUEST_ID,
        identity=request.identity,
        worker_version=request.worker_version_stamp if request.HasField("worker_version_stamp") else None,
        repeats_updates=False,
    )
    return True


def _refuse(run: Run, given: Given, bad: BadCommand, request: RespondWorkflowTaskCompletedRequest) -> Completed:
    """The task fails. Of a row of failures only the first is written; later ones wait for the task's time-out."""
    name = cause_name(bad.cause)
    error = invalid(name if bad.cause == UNHANDLED else f"{name}: {bad.message}")
    draft = Draft(run, given)
    draft.run.admitted = {key: update for key, update in run.admitted.items() if not update.sent_event_id}
    draft.updates_failed = True
    if run.info.task.attempt > 1 and bad.cause != UNHANDLED:
        return Completed(decision=finish(draft), error=error)
    failure = Failure(message=error.message, server_failure_info=ServerFailureInfo())
    flushed = fail_task(draft, bad.cause, failure, request.identity, count_attempt=bad.cause != UNHANDLED)
    if bad.terminates:
        terminate_run(draft, error.message, None, SERVICE_IDENTITY)
    else:
        schedule_task(draft, new_events=flushed)
    return Completed(decision=finish(draft), error=error)


def report_failure(draft: Draft, request: RespondWorkflowTaskFailedRequest) -> None:
    """A worker could not do the task. When its answer is too large to be sent, no other attempt will help."""
    if request.cause == Cause.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE:
        terminate_run(draft, cause_name(request.cause), None, SERVICE_IDENTITY)
        return
    flushed = fail_task(
        draft,
        request.cause,
        request.failure if request.HasField("failure") else None,
        request.identity,
        count_attempt=request.cause not in NOT_THE_WORKERS_FAULT,
    )
    schedule_task(draft, new_events=flushed)
