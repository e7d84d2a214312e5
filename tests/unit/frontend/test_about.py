"""Whose a request is, before anything else of it is looked at."""

from collections.abc import Callable

import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.namespace.v1 import UpdateNamespaceInfo

from services.errors import InvalidArgument, NamespaceInvalidState, NamespaceNotFound
from services.protos.run_pb2 import QueryTaskToken, TaskToken
from tests.unit.frontend.conftest import Desk
from tests.unit.frontend.test_starts import signal_with_start, start

DESCRIBE = api.DescribeWorkflowExecutionRequest(namespace="default", execution=WorkflowExecution(workflow_id="w"))


def completion(namespace: str, token: bytes) -> api.RespondActivityTaskCompletedRequest:
    return api.RespondActivityTaskCompletedRequest(namespace=namespace, task_token=token)


def token(namespace_id: str) -> bytes:
    return TaskToken(namespace_id=namespace_id, workflow_id="w").SerializeToString()


async def test_a_request_names_a_namespace_that_exists(desk: Desk) -> None:
    with pytest.raises(InvalidArgument, match=r"^Namespace is empty\.$"):
        await desk.ask(api.DescribeWorkflowExecutionRequest())
    with pytest.raises(NamespaceNotFound):
        await desk.ask(api.DescribeWorkflowExecutionRequest(namespace="nowhere"))
    assert desk.history.requests == []


@pytest.mark.parametrize("request_of", [start, signal_with_start])
async def test_nothing_starts_in_a_deprecated_namespace(desk: Desk, request_of: Callable[[], Message]) -> None:
    await desk.ask(api.DeprecateNamespaceRequest(namespace="default"))
    with pytest.raises(NamespaceInvalidState) as refused:
        await desk.ask(request_of())
    assert refused.value.message == "Namespace has invalid state: Deprecated. Must be Registered."
    await desk.ask(DESCRIBE)
    desk.history.only("describe_workflow_execution")


async def test_a_deleted_namespace_serves_nothing(desk: Desk) -> None:
    info = UpdateNamespaceInfo(state=NamespaceState.NAMESPACE_STATE_DELETED)
    await desk.ask(api.UpdateNamespaceRequest(namespace="default", update_info=info))
    with pytest.raises(NamespaceInvalidState, match="Must be Registered or Deprecated"):
        await desk.ask(DESCRIBE)


async def test_a_token_says_the_namespace_and_the_request_may_not_contradict(desk: Desk) -> None:
    mine = token(desk.default.id)
    await desk.ask(completion("", mine))
    await desk.ask(completion("default", mine))
    assert len(desk.history.requests) == 2
    with pytest.raises(InvalidArgument, match="token from a different namespace"):
        await desk.ask(completion("other", mine))
    with pytest.raises(NamespaceNotFound, match="abcd"):
        await desk.ask(completion("default", token("abcd")))
    with pytest.raises(InvalidArgument, match="Task token not set on request"):
        await desk.ask(completion("default", b""))
    for broken in (b"tea", TaskToken(workflow_id="w").SerializeToString()):
        with pytest.raises(InvalidArgument, match="Error deserializing task token"):
            await desk.ask(completion("default", broken))
    with pytest.raises(NamespaceNotFound, match="nowhere"):
        await desk.ask(completion("nowhere", b"tea"))
    assert len(desk.history.requests) == 2


async def test_the_token_of_a_query_says_it_too(desk: Desk) -> None:
    query = QueryTaskToken(namespace_id=desk.default.id, task_queue="q", query_id="1").SerializeToString()
    await desk.ask(api.RespondQueryTaskCompletedRequest(task_token=query))
    desk.matching.only("respond_query_task_completed")
