"""Completion callbacks: who is told, over HTTP, how a run's chain of runs has ended. (events_commands.md section 11)

Events speak of their registration. What becomes of them once the run is closed is state that no event speaks of: each
is called by an outbox task until it succeeds, is refused for good, or the run is deleted.
"""

from dataclasses import dataclass

from temporalio.api.enums.v1 import CallbackState
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure

from services.history.core.apply import Item
from services.history.core.draft import Draft
from services.history.core.rejection import Reason, Rejection
from services.history.core.run import copy_of
from services.protos.run_pb2 import Callback, Task

RETRY_JITTER = 0.2  # the share of a back-off that chance decides
State = CallbackState


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a call ended. `message` says what went wrong; a failure that cannot be retried is the last."""

    message: str = ""
    retryable: bool = False


def require_room(draft: Draft, count: int) -> None:
    """Refuses to attach more callbacks than a run may have."""
    attached, most = len(draft.run.callbacks), draft.given.limits.callbacks_max
    if attached + count > most:
        raise Rejection(
            Reason.FAILED_PRECONDITION,
            f"cannot attach more than {most} callbacks to a workflow ({attached} callbacks already attached)",
        )


def schedule_callbacks(draft: Draft) -> None:
    """The run is closed. Its callbacks are called, unless a run that follows it or that a reset made has them now."""
    handed_on = draft.successor is not None and draft.successor.run.callbacks
    if handed_on or draft.info.reset_run_id:
        return
    for number in draft.run.callbacks:
        _schedule(draft, number)


def _schedule(draft: Draft, number: int) -> None:
    callback = _edit(draft, number)
    callback.state = State.CALLBACK_STATE_SCHEDULED
    callback.next_attempt_time_ns = 0
    draft.push(Task.CALL_BACK, number)


def end_attempt(draft: Draft, number: int, attempt: Attempt, expected: int) -> None:
    """Notes how a call ended, and files the next. `expected`: the attempts before it, so that it is noted once."""
    known = draft.run.callbacks[number]
    if known.state != State.CALLBACK_STATE_SCHEDULED or known.attempt != expected:
        return
    callback = _edit(draft, number)
    callback.attempt += 1
    callback.last_attempt_complete_time_ns = draft.now_ns
    callback.ClearField("last_attempt_failure")
    if not attempt.message:
        callback.state = State.CALLBACK_STATE_SUCCEEDED
        return
    callback.last_attempt_failure.CopyFrom(
        Failure(
            message=attempt.message,
            application_failure_info=ApplicationFailureInfo(non_retryable=not attempt.retryable),
        )
    )
    if not attempt.retryable:
        callback.state = State.CALLBACK_STATE_FAILED
        return
    callback.state = State.CALLBACK_STATE_BACKING_OFF
    callback.next_attempt_time_ns = draft.now_ns + _backoff_ns(draft, callback.attempt)
    draft.push(Task.RETRY_CALLBACK, number, callback.attempt)
    draft.tasks[-1].fire_time_ns = callback.next_attempt_time_ns


def _backoff_ns(draft: Draft, attempt: int) -> int:
    limits = draft.given.limits
    backoff_ns = limits.callback_retry_initial_ns << min(attempt - 1, 40)
    backoff_ns = min(backoff_ns, limits.callback_retry_interval_max_ns)
    return backoff_ns - int(backoff_ns * RETRY_JITTER * draft.given.jitter)


def end_backoff(draft: Draft, number: int, attempt: int) -> None:
    """It is time for the next attempt."""
    callback = draft.run.callbacks[number]
    if callback.state == State.CALLBACK_STATE_BACKING_OFF and callback.attempt == attempt:
        _schedule(draft, number)


def _edit(draft: Draft, number: int) -> Callback:
    callback = draft.run.callbacks[number] = copy_of(draft.run.callbacks[number])
    draft.changes.add((Item.CALLBACK, number))
    return callback
