"""What workers answer: too much becomes a failure; ids become tokens."""

from typing import Any

import pytest
import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure

from services.errors import InvalidArgument, NotFound
from services.protos.history_pb2 import ActivityTaskTokenRequest
from services.protos.run_pb2 import TaskToken
from tests.unit.frontend.conftest import Desk

BIG = Payloads(payloads=[Payload(data=b"x" * (2 * 1024 * 1024 + 1))])
LONG = "x" * 1001


def token(desk: Desk) -> bytes:
    return TaskToken(namespace_id=desk.default.id, workflow_id="w").SerializeToString()


async def test_a_result_too_large_fails_the_activity(desk: Desk) -> None:
    await desk.ask(api.RespondActivityTaskCompletedRequest(task_token=token(desk), result=BIG, identity="me"))
    sent: api.RespondActivityTaskFailedRequest = desk.history.only("respond_activity_task_failed")
    assert sent.failure.message == "Complete result exceeds size limit."
    assert sent.failure.server_failure_info.non_retryable
    assert (sent.task_token, sent.identity) == (token(desk), "me")


async def test_details_too_large_fail_the_activity_and_stop_the_worker(desk: Desk) -> None:
    reply = await desk.ask(api.RecordActivityTaskHeartbeatRequest(task_token=token(desk), details=BIG))
    assert reply.cancel_requested
    sent = desk.history.only("respond_activity_task_failed")
    assert sent.failure.message == "Heartbeat details exceed size limit."


async def test_a_failure_too_large_is_cut_and_told(desk: Desk) -> None:
    desk.history.answers["respond_activity_task_failed"] = api.RespondActivityTaskFailedResponse()
    failure = Failure(
        message="boom",
        stack_trace="x" * (3 * 1024 * 1024),
        application_failure_info=ApplicationFailureInfo(type="Boom", details=BIG),
    )
    reply = await desk.ask(api.RespondActivityTaskFailedRequest(task_token=token(desk), failure=failure))
    sent: api.RespondActivityTaskFailedRequest = desk.history.only("respond_activity_task_failed")
    assert [each.message for each in reply.failures] == ["Failure exceeds size limit."]
    assert sent.failure == reply.failures[0]
    assert sent.failure.cause.message == "boom"
    assert sent.failure.cause.application_failure_info.type == "Boom"
    assert sent.failure.ByteSize() < 513 * 1024


async def test_an_activity_fails_with_an_application_failure(desk: Desk) -> None:
    failure = Failure(message="boom")
    with pytest.raises(InvalidArgument, match=r"^Failure must have ApplicationFailureInfo\.$"):
        await desk.ask(api.RespondActivityTaskFailedRequest(task_token=token(desk), failure=failure))
    assert desk.history.requests == []


async def test_an_answer_to_a_query_too_large_is_a_failed_query(desk: Desk) -> None:
    await desk.ask(api.RespondQueryTaskCompletedRequest(task_token=token(desk), query_result=BIG))
    sent: api.RespondQueryTaskCompletedRequest = desk.matching.only("respond_query_task_completed")
    assert sent.completed_type == QueryResultType.QUERY_RESULT_TYPE_FAILED
    assert sent.error_message == "Blob data size exceeds limit."
    assert not sent.HasField("query_result")


async def test_an_answer_by_id_travels_under_the_token_history_gives(desk: Desk) -> None:
    desk.history.answers["activity_task_token"] = b"token"
    result = Payloads(payloads=[Payload(data=b"1")])
    await desk.ask(
        api.RespondActivityTaskCompletedByIdRequest(
            namespace="default", workflow_id="w", activity_id="a", result=result, identity="me"
        )
    )
    (_, asked), (name, sent) = desk.history.requests
    assert asked == ActivityTaskTokenRequest(workflow_id="w", activity_id="a")
    assert name == "respond_activity_task_completed"
    assert (sent.task_token, sent.result, sent.identity) == (b"token", result, "me")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"activity_id": ""}, InvalidArgument, "ActivityId is not set on request."),
        ({"activity_id": "", "run_id": "tea"}, InvalidArgument, "ActivityId is not set on request."),
        ({"run_id": "tea"}, InvalidArgument, "RunId is not valid UUID."),
        ({"identity": LONG}, InvalidArgument, "Identity length exceeds limit."),
        ({"workflow_id": ""}, NotFound, "activity not found for ID: a"),
    ],
)
async def test_a_bad_answer_by_id_is_told_why(
    desk: Desk, change: dict[str, Any], error: type[InvalidArgument], text: str
) -> None:
    fields: dict[str, Any] = {"namespace": "default", "workflow_id": "w", "activity_id": "a", **change}
    with pytest.raises(error) as refused:
        await desk.ask(api.RespondActivityTaskCanceledByIdRequest(**fields))
    assert refused.value.message == text
    assert desk.history.requests == []
