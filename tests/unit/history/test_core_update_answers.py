"""What workers say of updates: taken step by step, and void when it is refused."""

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.workflowservice.v1 import RespondWorkflowTaskFailedRequest

from services.history.core.close import terminate_run
from services.history.core.completion import report_failure
from services.history.core.decision import Limits
from services.history.core.run import copy_of
from services.protos.run_pb2 import WorkflowTask
from tests.unit.history import commands as c
from tests.unit.history.invariants import check
from tests.unit.history.shell import Shell


def _message(type_name: str, blob: bytes = b"") -> ProtocolMessage:
    body = AnyMessage(type_url=f"type.googleapis.com/{type_name}", value=blob)
    return ProtocolMessage(id="m", protocol_instance_id="u", body=body)


def _updated() -> Shell:
    """An idle workflow with an update that its worker will find in the next task."""
    shell = Shell().begin()
    shell.work()
    shell.update("u")
    return shell


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([c.accept("u"), c.accept("u")], "received *update.Acceptance message while in state ProvisionallyAccepted"),
        ([c.respond("u")], "received *update.Response message while in state Sent"),
        ([c.accept("u"), c.reject("u")], "received *update.Rejection message while in state ProvisionallyAccepted"),
        ([c.reject("u"), c.accept("u")], "received *update.Acceptance message while in state ProvisionallyCompleted"),
        ([_message("no.such.Thing")], "unsupported protocol type no.such"),
        ([_message("temporal.api.update.v1.Request")], "Message type *update.Request not supported"),
        ([_message("temporal.api.update.v1.Response", b"x")], "unable to unmarshal request"),
    ],
)
def test_answers_out_of_turn_fail_the_task(messages: list[ProtocolMessage], why: str) -> None:
    shell = _updated()
    completed = shell.complete(shell.poll(), messages=messages)
    assert completed.error is not None
    assert why in completed.error.message
    assert shell.types()[-1] == "WorkflowTaskFailed"
    check(shell)


def test_an_update_whose_answer_was_refused_is_over_and_one_nobody_saw_waits_on() -> None:
    shell = _updated()
    token = shell.poll()
    shell.update("later")
    completed = shell.complete(token, c.start_timer(""), messages=[c.accept("u"), c.respond("u")])
    assert completed.error is not None
    assert completed.decision.updates_failed
    assert list(shell.run.admitted) == ["later"]
    assert not shell.run.updates


def test_a_second_bad_answer_writes_nothing_but_its_updates_are_over() -> None:
    shell = Shell().begin()
    shell.fail_workflow_task(shell.poll())
    shell.update("u")
    before = shell.types()
    completed = shell.complete(shell.poll(), c.start_timer(""), messages=[c.accept("u"), c.respond("u")])
    assert completed.error is not None
    assert not completed.decision.durable
    assert completed.decision.updates_failed
    assert not shell.run.admitted
    assert shell.types() == before


def test_what_no_command_orders_is_not_said_once_the_run_is_closed() -> None:
    shell = _updated()
    shell.complete(shell.poll(), c.complete_workflow(), messages=[c.accept("u"), c.respond("u")])
    assert shell.types()[-1] == "WorkflowExecutionCompleted"
    assert not shell.run.updates


def test_taking_a_task_that_was_made_for_updates_is_not_written() -> None:
    shell = _updated()
    before = shell.types()
    shell.poll()
    assert shell.run.info.task.kind == WorkflowTask.SPECULATIVE
    assert shell.types() == before


def test_a_run_tells_what_is_wrong_with_its_tasks_until_one_is_completed() -> None:
    shell = Shell(limits=Limits(task_problems_reported_from=2)).begin()
    for expected in (b"", b'["category=WorkflowTaskFailed","cause=WorkflowTaskFailedCauseUnspecified"]'):
        shell.poll()
        shell.decide(lambda draft: report_failure(draft, RespondWorkflowTaskFailedRequest()))
        assert _problems(shell) == expected
    check(shell)
    shell.work(c.start_timer("t"))
    assert not _problems(shell)
    check(shell)


def _problems(shell: Shell) -> bytes:
    fields = copy_of(shell.run.info).search_attributes.indexed_fields
    return bytes(fields["TemporalReportedProblems"].data)


def test_an_answer_that_cannot_be_sent_ends_the_run() -> None:
    shell = Shell().begin()
    shell.poll()
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE
    shell.decide(lambda draft: report_failure(draft, RespondWorkflowTaskFailedRequest(cause=cause)))
    assert shell.last("workflow_execution_terminated").reason == "GrpcMessageTooLarge"
    check(shell)


def test_a_worker_may_say_that_it_was_no_attempt() -> None:
    shell = Shell().begin()
    shell.poll()
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    shell.decide(lambda draft: report_failure(draft, RespondWorkflowTaskFailedRequest(cause=cause)))
    assert shell.run.info.task.attempt == 1
    check(shell)


def test_a_task_made_for_updates_and_in_hand_at_the_end_is_written_as_the_services() -> None:
    shell = _updated()
    shell.poll()
    shell.decide(lambda draft: terminate_run(draft, "why", None, "client"))
    assert shell.types()[-4:] == [
        "WorkflowTaskScheduled",
        "WorkflowTaskStarted",
        "WorkflowTaskFailed",
        "WorkflowExecutionTerminated",
    ]
    assert shell.last("workflow_task_started").identity == "history-service"
