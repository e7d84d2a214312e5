"""How a run ends, and what follows: another run of its chain, a word to its parent, its children's end.

events_commands.md section 7; only a close without a following run is told to the parent.
"""

from collections.abc import Iterable

from google.protobuf.message import Message
from temporalio.api.common.v1 import Link, Payloads
from temporalio.api.enums.v1 import ContinueAsNewInitiator, RetryState, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure, TimeoutFailureInfo
from temporalio.api.history.v1 import (
    WorkflowExecutionCanceledEventAttributes,
    WorkflowExecutionCompletedEventAttributes,
    WorkflowExecutionFailedEventAttributes,
    WorkflowExecutionTerminatedEventAttributes,
    WorkflowExecutionTimedOutEventAttributes,
)
from temporalio.api.sdk.v1 import UserMetadata

from services.history.core.callbacks import schedule_callbacks
from services.history.core.draft import Draft
from services.history.core.retry import next_retry
from services.history.core.start import follow, following_attributes
from services.history.core.times import duration
from services.history.core.workflow_task import fail_task
from services.protos.run_pb2 import Task, WorkflowTask

SERVICE_IDENTITY = "history-service"


def close_run(
    draft: Draft, attributes: Message, user_metadata: UserMetadata | None = None, links: Iterable[Link] = ()
) -> None:
    """Writes the closing event and files what a close entails."""
    info = draft.info
    if info.task.kind == WorkflowTask.SPECULATIVE and not info.task.started_event_id:
        info.ClearField("task")  # it was made for updates, which end with the run
    draft.add(attributes, user_metadata=user_metadata, links=links)
    assert not draft.run.is_open, f"{type(attributes).__name__} did not close the run"
    draft.drop_buffered()
    if not info.task.scheduled_written:  # nothing comes after the end
        info.ClearField("task")
    draft.run.admitted.clear()
    draft.push(Task.UPDATE_VISIBILITY)
    if draft.run.children and not info.reset_run_id:
        draft.push(Task.APPLY_PARENT_CLOSE_POLICY)
    if info.HasField("parent") and not info.new_execution_run_id and not info.reset_run_id:
        draft.push(Task.REPORT_TO_PARENT)
    schedule_callbacks(draft)
    if draft.given.retention_ns:
        draft.push(Task.DELETE_RUN)
        draft.tasks[-1].fire_time_ns = draft.now_ns + draft.given.retention_ns


def complete_run(
    draft: Draft, result: Payloads | None, task_completed_event_id: int, user_metadata: UserMetadata | None = None
) -> None:
    """The workflow returned. With a cron schedule the next run follows."""
    completed = WorkflowExecutionCompletedEventAttributes(
        result=result, workflow_task_completed_event_id=task_completed_event_id
    )
    if _has_slot(draft):
        completed.new_execution_run_id = _follow_by_cron(draft, result, None)
    close_run(draft, completed, user_metadata)


def fail_run(
    draft: Draft, failure: Failure, task_completed_event_id: int, user_metadata: UserMetadata | None = None
) -> None:
    """The workflow raised. Its retry policy, then its cron schedule, may let another run follow."""
    retry_state, new_run_id = _follow_failure(draft, failure)
    close_run(
        draft,
        WorkflowExecutionFailedEventAttributes(
            failure=failure,
            retry_state=retry_state,
            workflow_task_completed_event_id=task_completed_event_id,
            new_execution_run_id=new_run_id,
        ),
        user_metadata,
    )


def cancel_run(
    draft: Draft, details: Payloads | None, task_completed_event_id: int, user_metadata: UserMetadata | None = None
) -> None:
    """The workflow gave in to a cancellation; nothing follows."""
    close_run(
        draft,
        WorkflowExecutionCanceledEventAttributes(
            details=details, workflow_task_completed_event_id=task_completed_event_id
        ),
        user_metadata,
    )


def time_out_run(draft: Draft, chain_is_over: bool) -> None:
    """The run's time is over; unless the chain's is too, a retry or the cron schedule may let another run follow."""
    end_started_task(draft)
    if chain_is_over:
        retry_state, new_run_id = RetryState.RETRY_STATE_TIMEOUT, ""
    else:
        failure = Failure(
            message="workflow timeout",
            source="Server",
            timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE),
        )
        retry_state, new_run_id = _follow_failure(draft, failure, timed_out=True)
    close_run(draft, WorkflowExecutionTimedOutEventAttributes(retry_state=retry_state, new_execution_run_id=new_run_id))


def terminate_run(
    draft: Draft, reason: str, details: Payloads | None, identity: str, links: Iterable[Link] = ()
) -> None:
    """Ends the run at once, whatever it is doing; nothing follows."""
    end_started_task(draft)
    terminated = WorkflowExecutionTerminatedEventAttributes(reason=reason, details=details, identity=identity)
    close_run(draft, terminated, links=links)


def end_started_task(draft: Draft) -> None:
    """A started workflow task fails when its run is closed from outside, so that buffered events get their place."""
    if draft.info.task.started_event_id:
        if draft.info.task.kind == WorkflowTask.SPECULATIVE:
            draft.info.task.identity = SERVICE_IDENTITY  # nobody has written yet that a worker has it
        fail_task(
            draft, WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, identity=SERVICE_IDENTITY
        )
        draft.end_batch()


def _follow_failure(draft: Draft, failure: Failure, *, timed_out: bool = False) -> tuple[RetryState.ValueType, str]:
    info = draft.info
    retry = next_retry(
        policy=info.retry_policy if info.HasField("retry_policy") else None,
        attempt=info.attempt,
        now_ns=draft.now_ns,
        expires_ns=info.execution_deadline_ns,
        failure=failure,
        caps_delay=True,
    )
    if retry.state == RetryState.RETRY_STATE_IN_PROGRESS:
        run_id = draft.given.new_run_id
        started = following_attributes(
            draft, run_id, ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY, duration(retry.backoff_ns)
        )
        started.attempt = info.attempt + 1
        if not timed_out:
            started.ClearField("last_completion_result")  # the reference's
        started.continued_failure.CopyFrom(failure)
        follow(draft, run_id, started)
        return retry.state, run_id
    if _has_slot(draft):
        return retry.state, _follow_by_cron(draft, None, failure)
    return retry.state, ""


def _has_slot(draft: Draft) -> bool:
    return bool(draft.info.cron_schedule) and draft.given.cron_backoff_ns is not None


def _follow_by_cron(draft: Draft, result: Payloads | None, failure: Failure | None) -> str:
    run_id = draft.given.new_run_id
    started = following_attributes(
        draft,
        run_id,
        ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE,
        duration(draft.given.cron_backoff_ns or 0),
    )
    if failure is not None:
        started.continued_failure.CopyFrom(failure)  # and the result of the last run that had one stays
    else:
        started.ClearField("last_completion_result")
    if result is not None:
        started.last_completion_result.CopyFrom(result)
    follow(draft, run_id, started)
    return run_id
