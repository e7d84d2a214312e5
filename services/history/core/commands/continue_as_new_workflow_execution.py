"""ContinueAsNewWorkflowExecution: the run ends and another one follows, in one transaction."""

from typing import Final

from temporalio.api.command.v1 import Command, ContinueAsNewWorkflowExecutionCommandAttributes
from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.api.history.v1 import (
    WorkflowExecutionContinuedAsNewEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)
from temporalio.api.taskqueue.v1 import TaskQueue

from services.history.core.close import close_run
from services.history.core.commands.refusal import (
    BadCommand,
    Cause,
    Completion,
    checked_ns,
    queue_asked,
    require,
    require_blob,
    require_length,
    require_search_attributes,
    told_queue,
    why_invalid_task_queue,
)
from services.history.core.draft import Draft
from services.history.core.retry_policy import normalised, why_invalid
from services.history.core.run import copy_fields
from services.history.core.start import drop_nothings, follow, following_attributes, task_timeout_ns
from services.history.core.times import duration, ns_of

BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CONTINUE_AS_NEW_ATTRIBUTES
OWN_FIELDS: Final = ("input", "header", "last_completion_result", "memo", "search_attributes")  # never the old run's
WHERE = "ContinueAsNewWorkflowExecutionCommand"


def decide(draft: Draft, command: Command, completion: Completion) -> None:
    asked = command.continue_as_new_workflow_execution_command_attributes
    require(
        command.HasField("continue_as_new_workflow_execution_command_attributes"),
        BAD,
        f"{WHERE}Attributes is not set on {WHERE}.",
    )
    _check(draft, asked)
    run_id = draft.given.new_run_id
    started = _started(draft, asked, run_id)
    follow(draft, run_id, started)
    close_run(
        draft,
        WorkflowExecutionContinuedAsNewEventAttributes(
            new_execution_run_id=run_id,
            workflow_type=started.workflow_type,
            task_queue=queue_asked(asked.task_queue, draft.info.task_queue),
            input=asked.input if asked.HasField("input") else None,
            workflow_run_timeout=started.workflow_run_timeout,
            workflow_task_timeout=started.workflow_task_timeout,
            workflow_task_completed_event_id=completion.event_id,
            backoff_start_interval=asked.backoff_start_interval if asked.HasField("backoff_start_interval") else None,
            initiator=asked.initiator,
            failure=asked.failure if asked.HasField("failure") else None,
            last_completion_result=asked.last_completion_result if asked.HasField("last_completion_result") else None,
            header=started.header if started.HasField("header") else None,
            memo=started.memo if started.HasField("memo") else None,
            search_attributes=started.search_attributes if started.HasField("search_attributes") else None,
        ),
        command.user_metadata if command.HasField("user_metadata") else None,
    )


def _check(draft: Draft, asked: ContinueAsNewWorkflowExecutionCommandAttributes) -> None:
    limit = draft.given.limits.id_length_max
    workflow_type = asked.workflow_type.name or draft.info.workflow_type
    queue = asked.task_queue.name or draft.info.task_queue
    which = f"WorkflowType={workflow_type} {told_queue(queue)}"
    require_length(workflow_type, limit, BAD, "WorkflowType", WHERE)
    why = why_invalid_task_queue(queue, limit)
    require(why is None, BAD, f"error validating {WHERE} TaskQueue: {why}. {which}")
    why = why_invalid(asked.retry_policy, draft.given.limits) if asked.HasField("retry_policy") else None
    require(why is None, BAD, f"invalid WorkflowRetryPolicy on {WHERE}: {why}. {which}")
    checked_ns(asked.workflow_run_timeout, BAD, "WorkflowRunTimeout", WHERE, which)
    checked_ns(asked.workflow_task_timeout, BAD, "WorkflowTaskTimeout", WHERE, which)
    checked_ns(asked.backoff_start_interval, BAD, "BackoffStartInterval", WHERE, which)
    require_search_attributes(draft, asked.search_attributes, WHERE, which)
    require_blob(draft, asked.input.ByteSize(), BAD, f"{WHERE}Attributes. Input")
    if asked.memo.ByteSize() > draft.given.limits.memo_bytes_max:
        raise BadCommand(BAD, f"{WHERE}Attributes. Memo exceeds size limit.", terminates=True)


def _started(
    draft: Draft, asked: ContinueAsNewWorkflowExecutionCommandAttributes, run_id: str
) -> WorkflowExecutionStartedEventAttributes:
    """The next run's first event: what the command says, and this run's values where it is silent."""
    initiator = asked.initiator or ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    info = draft.info
    rest_ns = draft.given.limits.run_age_min_ns - (draft.now_ns - info.execution_time_ns)
    backoff_ns = max(ns_of(asked.backoff_start_interval), rest_ns, 0)
    waits = backoff_ns > 0 or asked.HasField("backoff_start_interval")
    started = following_attributes(draft, run_id, initiator, duration(backoff_ns) if waits else None)
    if asked.workflow_type.name:
        started.workflow_type.CopyFrom(asked.workflow_type)
    started.task_queue.CopyFrom(queue_asked(TaskQueue(name=asked.task_queue.name), info.task_queue))
    if not started.HasField("workflow_run_timeout"):
        started.workflow_run_timeout.CopyFrom(duration(0))
    if ns_of(asked.workflow_run_timeout):
        asked_ns, chain_ns = ns_of(asked.workflow_run_timeout), info.execution_timeout_ns
        started.workflow_run_timeout.CopyFrom(duration(min(asked_ns, chain_ns) if chain_ns else asked_ns))
    asked_task_ns = ns_of(asked.workflow_task_timeout) or info.task_timeout_ns
    run_ns = ns_of(started.workflow_run_timeout)
    started.workflow_task_timeout.CopyFrom(duration(task_timeout_ns(asked_task_ns, run_ns, draft.given.limits)))
    for name in OWN_FIELDS:
        started.ClearField(name)
    copy_fields(asked, started, OWN_FIELDS)
    drop_nothings(started)
    if initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY:
        started.attempt = info.attempt + 1
    if asked.HasField("retry_policy"):
        started.retry_policy.CopyFrom(normalised(asked.retry_policy, draft.given.limits))
    else:
        started.ClearField("retry_policy")
    if asked.HasField("failure"):
        started.continued_failure.CopyFrom(asked.failure)
    started.cron_schedule = asked.cron_schedule
    return started
