"""Completion callbacks: they stand by while the chain goes on, and are called until their answer is written."""

from typing import Any

import pytest
from temporalio.api.common.v1 import Callback
from temporalio.api.enums.v1 import CallbackState
from temporalio.api.history.v1 import WorkflowExecutionOptionsUpdatedEventAttributes

from services.history.core.callbacks import Attempt, end_attempt, end_backoff, require_room
from services.history.core.close import terminate_run
from services.history.core.decision import Limits
from services.history.core.draft import Draft
from services.history.core.rejection import Rejection
from services.history.core.times import SECOND, duration
from services.protos.run_pb2 import Task
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell, application_failure

State = CallbackState
OK, AGAIN, NEVER = Attempt(), Attempt("busy", retryable=True), Attempt("unwelcome")


def address(name: str) -> Callback:
    return Callback(nexus=Callback.Nexus(url=f"http://somewhere/{name}"))


def begin(*names: str, **fields: Any) -> Shell:
    return Shell(limits=Limits(callbacks_max=3)).begin(completion_callbacks=[address(name) for name in names], **fields)


def attach(shell: Shell, request_id: str, *names: str) -> None:
    def decide(draft: Draft) -> None:
        require_room(draft, len(names))
        draft.add(
            WorkflowExecutionOptionsUpdatedEventAttributes(
                attached_request_id=request_id, attached_completion_callbacks=[address(name) for name in names]
            )
        )

    shell.decide(decide)


def end(shell: Shell, number: int, attempt: Attempt, expected: int) -> None:
    shell.decide(lambda draft: end_attempt(draft, number, attempt, expected))
    check(shell)


def states(shell: Shell) -> list[str]:
    return [
        CallbackState.Name(callback.state).removeprefix("CALLBACK_STATE_") for callback in shell.run.callbacks.values()
    ]


def called(shell: Shell) -> list[int]:
    return [task.event_id for task in shell.tasks if task.kind == Task.CALL_BACK]


def test_callbacks_stand_by_until_the_run_is_closed() -> None:
    shell = begin("a", "b")
    attach(shell, "another", "c")
    assert states(shell) == ["STANDBY"] * 3
    assert [callback.request_id for callback in shell.run.callbacks.values()] == ["", "", "another"]
    shell.work(c.complete_workflow())
    assert states(shell) == ["SCHEDULED"] * 3
    assert called(shell) == [1, 2, 3]
    check(shell)


def test_callbacks_attached_while_a_worker_is_at_it_are_there_at_once() -> None:
    shell = begin()
    token = shell.poll()
    attach(shell, "another", "a")
    shell.crash()
    assert states(shell) == ["STANDBY"]
    check(shell)
    shell.complete(token, c.record_marker())
    assert states(shell) == ["STANDBY"]
    check(shell)


def test_no_more_are_attached_than_a_run_may_have() -> None:
    shell = begin("a", "b")
    with pytest.raises(Rejection, match=r"cannot attach more than 3 callbacks to a workflow .2 callbacks already"):
        attach(shell, "another", "c", "d")
    attach(shell, "another", "c")


def test_the_run_that_follows_has_them_all() -> None:
    shell = begin("a")
    attach(shell, "another", "b")
    shell.work(c.continue_as_new())
    assert states(shell) == ["STANDBY", "STANDBY"]
    assert not called(shell)
    assert shell.successor is not None
    assert [one.callback.nexus.url for one in shell.successor.run.callbacks.values()] == [
        "http://somewhere/a",
        "http://somewhere/b",
    ]
    check(shell)
    check(shell.successor)


def test_a_cron_schedule_begins_a_chain_without_them() -> None:
    shell = begin("a", cron_schedule="@every 1m")
    shell.advance(60 * SECOND)
    shell.work(c.fail_workflow(application_failure()))
    assert states(shell) == ["SCHEDULED"]
    assert shell.successor is not None
    assert not shell.successor.run.callbacks


def test_a_run_that_a_reset_replaces_calls_nobody() -> None:
    shell = begin("a")

    def replace(draft: Draft) -> None:
        draft.info.reset_run_id = "run-2"
        terminate_run(draft, "reset", None, "history-resetter")

    shell.decide(replace)
    assert states(shell) == ["STANDBY"]
    assert not called(shell)


def test_an_attempt_is_noted_once() -> None:
    shell = begin("a")
    shell.work(c.complete_workflow())
    end(shell, 1, AGAIN, expected=0)
    assert states(shell) == ["BACKING_OFF"]
    end(shell, 1, OK, expected=0)  # the same task, done a second time
    assert states(shell) == ["BACKING_OFF"]
    assert shell.run.callbacks[1].attempt == 1


def test_it_is_called_again_with_growing_delays() -> None:
    shell = begin("a")
    shell.work(c.complete_workflow())
    delays = []
    for attempt in range(16):
        end(shell, 1, AGAIN, expected=attempt)
        retry = shell.tasks[-1]
        assert (retry.kind, retry.event_id, retry.stamp) == (Task.RETRY_CALLBACK, 1, attempt + 1)
        assert shell.run.callbacks[1].next_attempt_time_ns == retry.fire_time_ns
        delays.append((retry.fire_time_ns - shell.now_ns) // SECOND)
        shell.advance(retry.fire_time_ns - shell.now_ns)
        for _ in range(2):  # a repetition of the task changes nothing
            shell.decide(lambda draft: end_backoff(draft, 1, draft.run.callbacks[1].attempt))
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600, 3600]
    assert len(called(shell)) == 17
    end(shell, 1, OK, expected=16)
    assert states(shell) == ["SUCCEEDED"]
    assert not shell.run.callbacks[1].HasField("last_attempt_failure")


def test_a_refusal_for_good_is_the_last() -> None:
    shell = begin("a")
    shell.work(c.complete_workflow())
    end(shell, 1, NEVER, expected=0)
    assert states(shell) == ["FAILED"]
    assert shell.run.callbacks[1].last_attempt_failure.application_failure_info.non_retryable


def test_a_run_whose_time_is_over_is_told() -> None:
    shell = begin("a", workflow_run_timeout=duration(5 * SECOND))
    shell.advance(5 * SECOND)
    assert states(shell) == ["SCHEDULED"]
