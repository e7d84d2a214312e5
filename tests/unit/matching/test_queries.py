"""Queries: in front of everything, never stored, answered or given up."""

import asyncio

import pytest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    StickyWorkerUnavailable,
    Unavailable,
)
from services.protos.matching_pb2 import QueryTaskRequest
from tests.unit.matching.conftest import STICKY, Matching, settle

Asked = asyncio.Task[api.RespondQueryTaskCompletedRequest]


def ask(matching: Matching, queue: TaskQueue | None = None, wait_s: float = 10) -> Asked:
    poll_response = api.PollWorkflowTaskQueueResponse(previous_started_event_id=3)
    poll_response.query.query_type = "x"
    return asyncio.create_task(
        matching.service.query_workflow(
            matching.call(wait_s),
            QueryTaskRequest(task_queue=queue or TaskQueue(name="q"), poll_response=poll_response.SerializeToString()),
        )
    )


async def answer(matching: Matching, task_token: bytes) -> None:
    await matching.service.respond_query_task_completed(
        matching.call(), api.RespondQueryTaskCompletedRequest(task_token=task_token, error_message="answered")
    )


@pytest.mark.parametrize("poller_first", [True, False])
async def test_a_query_finds_a_poller_and_its_answer_the_asker(matching: Matching, poller_first: bool) -> None:
    if poller_first:
        poll = matching.poll()
        await settle()
        asked = ask(matching)
    else:
        asked = ask(matching)
        await settle()
        poll = matching.poll()
    task = await poll
    assert (task.query.query_type, task.previous_started_event_id) == ("x", 3)
    await answer(matching, task.task_token)
    assert (await asked).error_message == "answered"
    assert matching.history.started == []


async def test_a_query_goes_before_tasks(matching: Matching) -> None:
    matching.add("w1")
    asked = ask(matching)
    await settle()
    assert (await matching.poll()).HasField("query")
    assert (await matching.poll()).task_token == b"w1"
    asked.cancel()


async def test_a_poller_that_leaves_passes_the_query_on(matching: Matching) -> None:
    leaving = matching.poll()
    await settle()
    asked = ask(matching)
    await asyncio.sleep(0)  # the query is handed over; the poller has not woken up yet
    leaving.cancel()
    task = await matching.poll()
    await answer(matching, task.task_token)
    assert (await asked).error_message == "answered"


async def test_a_query_that_is_not_answered_in_time(matching: Matching) -> None:
    task = matching.poll()
    await settle()
    asked = ask(matching)
    await matching.clock.advance(10)
    with pytest.raises(DeadlineExceeded, match="query timed out before a worker could process it"):
        await asked
    with pytest.raises(NotFound, match="query task not found, or already expired"):
        await answer(matching, (await task).task_token)


async def test_a_query_on_a_queue_nobody_polls(matching: Matching) -> None:
    asked = ask(matching)
    await matching.clock.advance(8.9)
    assert not asked.done()
    await matching.clock.advance(0.1)
    with pytest.raises(FailedPrecondition, match="no poller seen for task queue recently, worker may be down"):
        await asked
    assert matching.clock.pending() == 1, "only the sweep"


async def test_a_query_that_was_given_up_is_not_handed_out(matching: Matching) -> None:
    asked = ask(matching)
    await settle()
    asked.cancel()
    await settle()
    poll = matching.poll()
    await settle()
    assert not poll.done()
    poll.cancel()


async def test_a_sticky_queue_without_worker_answers_at_once(matching: Matching) -> None:
    sticky = TaskQueue(name="sticky", kind=STICKY, normal_name="q")
    with pytest.raises(StickyWorkerUnavailable):
        await ask(matching, sticky)
    poll = matching.poll("sticky", kind=STICKY)
    await settle()
    asked = ask(matching, sticky)
    await answer(matching, (await poll).task_token)
    assert (await asked).error_message == "answered"
    await matching.clock.advance(10.1)
    with pytest.raises(StickyWorkerUnavailable):
        await ask(matching, sticky)


@pytest.mark.parametrize(
    ("token", "error", "text"),
    [
        (b"", InvalidArgument, "Task token not set on request."),
        (b"junk", InvalidArgument, "Error deserializing task token."),
        (b"\x1a\x01x", NotFound, "query task not found, or already expired"),
    ],
)
async def test_answers_to_no_query(matching: Matching, token: bytes, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        await answer(matching, token)


async def test_draining_refuses_queries_that_wait(matching: Matching) -> None:
    asked = ask(matching)
    await settle()
    await matching.service.drain()
    with pytest.raises(Unavailable):
        await asked
