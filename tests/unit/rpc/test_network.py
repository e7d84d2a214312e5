"""Between hosts everything arrives as it was: requests, contexts, replies, errors, deadlines, cancellation."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import NamespaceState, ResourceExhaustedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingChildExecutionInfo
from temporalio.api.workflowservice import v1 as api

from services import errors
from services.config import DynamicConfig
from services.persistence import StoreError, UnknownOutcome
from services.rpc import HISTORY, HISTORY_SERVICE, MATCHING, MATCHING_SERVICE, AddTaskOutcome, Call, Wire
from services.rpc.network import Network
from services.rpc.server import InternalServer, served
from services.runtime import SystemClock

Answer = Callable[[Call, Any], Awaitable[object]]
DESCRIBE = HISTORY["describe_workflow_execution"]
NOBODY = Call()
REQUEST = api.DescribeWorkflowExecutionRequest(execution=WorkflowExecution(workflow_id="w"))


class Pair:
    """Two hosts: one serves history and matching by `answer`, the other asks."""

    def __init__(self, server: InternalServer, network: Network, address: str) -> None:
        self.server, self.network, self.address = server, network, address
        self.answer: Answer

    async def serve(self, _wire: Wire, call: Call, request: object) -> object:
        return await self.answer(call, request)

    async def ask(self, call: Call = NOBODY, wire: Wire = DESCRIBE, request: object = REQUEST) -> object:
        service = HISTORY_SERVICE if wire.name in HISTORY else MATCHING_SERVICE
        return await self.network.to(self.address, service)(wire, call, request)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    clock = SystemClock()
    server = InternalServer(clock, DynamicConfig(env={}), "history")
    address = f"127.0.0.1:{server.listen('127.0.0.1', 0)}"
    await server.start((HISTORY_SERVICE, MATCHING_SERVICE))
    network = Network(clock)
    pair = Pair(server, network, address)
    server.serve(served(HISTORY, HISTORY_SERVICE, pair.serve) | served(MATCHING, MATCHING_SERVICE, pair.serve))
    yield pair
    await network.close()
    await server.stop(0)


async def test_request_context_and_reply_arrive(pair: Pair) -> None:
    asked: list[tuple[Call, object]] = []

    async def answer(call: Call, request: object) -> object:
        asked.append((call, request))
        return api.DescribeWorkflowExecutionResponse(pending_children=[PendingChildExecutionInfo(workflow_id="child")])

    pair.answer = answer
    sent = Call(
        namespace="name",
        namespace_id="id",
        client_name="temporal-python",
        client_version="1.35",
        client_features=frozenset({"a", "b"}),
        forwarded_from="/_sys/q/3",
    )
    reply = await pair.ask(sent)
    assert isinstance(reply, api.DescribeWorkflowExecutionResponse)
    assert reply.pending_children[0].workflow_id == "child"
    [(call, request)] = asked
    assert (replace(call, deadline=None), request) == (sent, REQUEST)
    assert call.deadline is not None  # the carrier's own, when the caller has none


@pytest.mark.parametrize("outcome", list(AddTaskOutcome))
async def test_outcomes_arrive(pair: Pair, outcome: AddTaskOutcome) -> None:
    async def answer(_call: Call, _request: object) -> object:
        return outcome

    pair.answer = answer
    wire = MATCHING["add_task"]
    assert await pair.ask(wire=wire, request=wire.request()) is outcome


ERRORS: list[errors.ServiceError] = [
    errors.InvalidArgument("bad"),
    errors.QueryFailed("failed", Failure(message="why")),
    errors.NotFound("no such workflow"),
    errors.NamespaceNotFound("name"),
    errors.NamespaceAlreadyExists("taken"),
    errors.WorkflowExecutionAlreadyStarted("started", "request", "run"),
    errors.FailedPrecondition("no"),
    errors.service_errors.NamespaceInvalidState("deleted", "n", NamespaceState.NAMESPACE_STATE_DELETED, []),
    errors.WorkflowNotReady("not yet"),
    errors.PermissionDenied("no", "because"),
    errors.ResourceExhausted("busy", ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW),
    errors.Unavailable("later"),
    errors.StickyWorkerUnavailable(),
    errors.DeadlineExceeded("query timed out"),
    errors.Canceled("left"),
    errors.Aborted("given up"),
    errors.Internal("inside"),
    errors.DataLoss("lost"),
    errors.Unimplemented("never"),
    errors.Unknown("who knows"),
    errors.MultiOperationFailed("both", [errors.Aborted("given up"), errors.NotFound("gone")]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_an_error_arrives_as_what_it_was(pair: Pair, error: errors.ServiceError) -> None:
    async def answer(_call: Call, _request: object) -> object:
        raise error

    pair.answer = answer
    with pytest.raises(errors.ServiceError) as caught:
        await pair.ask()
    arrived = caught.value
    assert (type(arrived), arrived.code, arrived.message) == (type(error), error.code, error.message)
    assert arrived.status() == error.status()  # what a client is told, its details included


@pytest.mark.parametrize(
    "error", [errors.ShardOwnershipLost(3, "other:1"), errors.TaskQueueOwnershipLost("other:1")], ids=str
)
async def test_the_way_to_the_owner_arrives(pair: Pair, error: errors.OwnershipLost) -> None:
    async def answer(_call: Call, _request: object) -> object:
        raise error

    pair.answer = answer
    with pytest.raises(errors.OwnershipLost) as caught:
        await pair.ask()
    assert caught.value.owner == "other:1"
    assert not caught.value.status().details  # no client needs to know


@pytest.mark.parametrize("error", [StoreError("disk"), UnknownOutcome("gone")])
async def test_a_store_that_does_not_answer_is_unavailable(pair: Pair, error: Exception) -> None:
    async def answer(_call: Call, _request: object) -> object:
        raise error

    pair.answer = answer
    with pytest.raises(errors.Unavailable, match="please retry"):
        await pair.ask()


async def test_a_defect_there_is_a_reference_here(pair: Pair) -> None:
    async def answer(_call: Call, _request: object) -> object:
        raise KeyError("secret")

    pair.answer = answer
    with pytest.raises(errors.Unknown) as caught:
        await pair.ask()
    assert "secret" not in caught.value.message


async def test_a_deadline_ends_the_call_on_both_sides(pair: Pair) -> None:
    ended = asyncio.Event()

    async def answer(call: Call, _request: object) -> object:
        try:
            return await asyncio.Event().wait()
        finally:
            ended.set()

    pair.answer = answer
    with pytest.raises(errors.DeadlineExceeded):
        await pair.ask(Call(deadline=SystemClock().monotonic() + 0.2))
    async with asyncio.timeout(5):
        await ended.wait()


async def test_a_caller_who_leaves_ends_the_call_there(pair: Pair) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def answer(_call: Call, _request: object) -> object:
        began.set()
        try:
            return await asyncio.Event().wait()
        finally:
            ended.set()

    pair.answer = answer
    asking = asyncio.create_task(pair.ask())
    await began.wait()
    asking.cancel()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_a_host_that_is_not_there_was_sent_nothing(pair: Pair) -> None:
    await pair.server.stop(0)
    with pytest.raises(errors.Unreachable) as caught:
        await pair.ask()
    assert not caught.value.sent


async def test_a_stopping_host_sends_callers_to_look_for_the_next_owner(pair: Pair) -> None:
    await pair.server.drain(0)
    with pytest.raises(errors.OwnershipLost):
        await pair.ask()


async def test_a_channel_to_a_host_that_left_the_ring_is_let_go_after_its_calls(pair: Pair) -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def answer(_call: Call, _request: object) -> object:
        began.set()
        await finish.wait()
        return api.DescribeWorkflowExecutionResponse()

    pair.answer = answer
    asking = asyncio.create_task(pair.ask())
    await began.wait()
    pair.network.keep(set())
    finish.set()
    assert await asking == api.DescribeWorkflowExecutionResponse()
    assert await pair.ask() == api.DescribeWorkflowExecutionResponse()  # it came back
