"""The engine between its decisions and a store, callers and hosts that fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyProto
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.protocol.v1 import Message
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Acceptance, Request
from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound, ShardOwnershipLost, Unavailable
from services.history.codec import run_of
from services.persistence import Outcome, TaskCategory
from services.protos.history_pb2 import RecordChildClosedRequest, RecordWorkflowTaskStartedRequest
from services.rpc import shard_id_of
from tests.unit.engine.house import (
    COMPLETE,
    QUEUE,
    SCHEDULE,
    START_CHILD,
    House,
    Misbehaving,
    eventually,
    happened_unseen,
    live,
    never_happened,
    open_store,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Misbehaving]:
    async with open_store(tmp_path / "data.db") as store:
        yield store


@pytest.fixture
async def house(store: Misbehaving) -> House:
    return await live(store)


async def test_a_start_whose_answer_was_lost_is_found_by_its_request_id(house: House, store: Misbehaving) -> None:
    store.faults = [happened_unseen]
    with pytest.raises(Unavailable):
        await house.begin("w")
    again = await house.begin("w")
    assert again.started
    assert await house.event_names("w") == ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"]
    assert (await house.task()).workflow_execution.run_id == again.run_id


async def test_a_start_that_was_lost_is_made_by_the_repetition(house: House, store: Misbehaving) -> None:
    store.faults = [never_happened]
    with pytest.raises(Unavailable):
        await house.begin("w")
    with pytest.raises(NotFound):
        await house.events("w")
    assert (await house.begin("w")).started


@pytest.mark.parametrize("fault", [happened_unseen, never_happened])
async def test_a_signal_with_unknown_outcome_is_taken_once(
    house: House, store: Misbehaving, fault: Callable[[Callable[[], Awaitable[Outcome]]], Awaitable[Outcome]]
) -> None:
    await house.begin("w")
    store.faults = [fault]
    with pytest.raises(Unavailable):
        await house.signal("w", "pay")
    await house.signal("w", "pay")
    assert (await house.event_names("w")).count("WORKFLOW_EXECUTION_SIGNALED") == 1


async def test_a_completion_that_was_lost_is_taken_when_it_is_repeated(house: House, store: Misbehaving) -> None:
    await house.begin("w")
    task = await house.task()
    store.faults = [never_happened]
    with pytest.raises(Unavailable):
        await house.answer(task, COMPLETE)
    await house.answer(task, COMPLETE)  # though the task's start was only in memory, and memory was given up
    assert (await house.event_names("w"))[-1] == "WORKFLOW_EXECUTION_COMPLETED"


async def test_a_caller_who_leaves_in_the_middle_of_a_commit_does_not_stop_it(house: House, store: Misbehaving) -> None:
    await house.begin("w")
    await house.answer(await house.task())
    writing, may_go_on = asyncio.Event(), asyncio.Event()

    async def slowly(commit: Callable[[], Awaitable[Outcome]]) -> Outcome:
        outcome = await commit()
        writing.set()
        await may_go_on.wait()
        return outcome

    store.faults = [slowly]
    caller = asyncio.ensure_future(house.signal("w", "pay"))
    await writing.wait()
    caller.cancel()
    next_signal = asyncio.ensure_future(house.signal("w", "ship"))
    await asyncio.sleep(0)
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await next_signal
    task = await house.task()  # what followed from the commit was not lost either
    signals = [e.workflow_execution_signaled_event_attributes.signal_name for e in task.history.events]
    assert [name for name in signals if name] == ["pay", "ship"]


async def test_after_a_crash_a_started_workflow_task_is_dispatched_again(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    lost = await first.task()
    second = await live(store)
    again = await second.task()
    assert again.started_event_id == lost.started_event_id
    with pytest.raises(NotFound, match="Workflow task not found"):
        await second.answer(lost, COMPLETE)
    await second.answer(again, COMPLETE)


async def test_after_a_crash_a_started_activity_is_not_dispatched_again(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    await first.answer(await first.task(), SCHEDULE)
    activity = await first.activity()
    second = await live(store)
    await second.activity_done(activity)
    assert "ACTIVITY_TASK_COMPLETED" in await second.event_names("w")


async def test_an_older_owner_does_not_say_from_memory_that_a_task_is_over(store: Misbehaving) -> None:
    """Its memory may be ahead of the store, by a start that was never written, or behind it."""
    first = await live(store)
    await first.begin("w")
    started = await first.task()
    second = await live(store)
    request = RecordWorkflowTaskStartedRequest(
        namespace_id=first.call.namespace_id,
        workflow_id="w",
        run_id=started.workflow_execution.run_id,
        scheduled_event_id=2,
        stamp=1,
        request_id="another poll",
    )
    with pytest.raises(ShardOwnershipLost):
        await first.history.record_workflow_task_started(first.call, request)
    assert await second.history.record_workflow_task_started(second.call, request)


async def test_a_task_that_only_an_older_owner_has_started_is_handed_out_again(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    second = House(store)
    second.asked = first.history  # matching has not heard of the new owner
    await second.start()
    lost = await second.task()
    second.asked = second.history
    again = await second.task()
    with pytest.raises(NotFound, match="Workflow task not found"):
        await second.answer(lost, COMPLETE)
    await second.answer(again, COMPLETE)


async def test_a_worker_may_answer_the_next_owner_when_nothing_has_happened_since(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    task = await first.task()
    second = await live(store)
    await second.answer(task, SCHEDULE)
    names = await second.event_names("w")
    assert names[2:] == ["WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED", "ACTIVITY_TASK_SCHEDULED"]
    with pytest.raises(NotFound, match="Workflow task not found"):
        await second.answer(task, COMPLETE)


async def test_after_a_hand_over_the_next_owner_takes_every_answer(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    tasks = [await first.task()]
    await first.history.hand_over()
    await first.begin("later")
    tasks.append(await first.task())
    second = await live(store)
    for task in tasks:
        workflow_id = task.workflow_execution.workflow_id
        await second.signal(workflow_id, "news")
        await second.answer(task, SCHEDULE)
        assert "ACTIVITY_TASK_SCHEDULED" in await second.event_names(workflow_id)


async def test_an_update_that_came_to_the_next_owner_is_not_held_unanswered_by_an_earlier_task(
    store: Misbehaving,
) -> None:
    first = await live(store)
    await first.begin("w")
    task = await first.task()
    second = await live(store)
    waiting = asyncio.create_task(second.update("w", "u"))

    async def is_admitted() -> bool:
        entries = [entry for workflow in second.history.engine.cache.entries() for entry in workflow.runs.values()]
        return any("u" in entry.run.admitted for entry in entries)

    await eventually(is_admitted)
    await second.answer(task, SCHEDULE)
    messages = (await second.task()).messages
    waiting.cancel()
    assert [message.protocol_instance_id for message in messages] == ["u"]


async def test_after_a_hand_over_the_next_owner_takes_an_answer_to_an_update(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    await first.answer(await first.task())
    asked = asyncio.create_task(first.update("w", "u"))
    task = await first.task()
    await first.history.hand_over()
    asked.cancel()
    second = await live(store)
    request = Request()
    task.messages[0].body.Unpack(request)
    body = AnyProto()
    body.Pack(Acceptance(accepted_request_sequencing_event_id=task.messages[0].event_id, accepted_request=request))
    await second.answer(task, messages=[Message(id="m", protocol_instance_id="u", body=body)])
    assert "WORKFLOW_EXECUTION_UPDATE_ACCEPTED" in await second.event_names("w")


async def test_a_worker_is_refused_when_something_has_happened_since(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    task = await first.task()
    second = await live(store)
    await second.signal("w", "news")
    with pytest.raises(NotFound, match="Workflow task not found"):
        await second.answer(task, COMPLETE)
    await second.answer(await second.task(), COMPLETE)


async def test_a_stored_copy_of_a_task_is_not_given_up_for_a_start_that_is_only_in_memory(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    started = await first.task()
    run_id = started.workflow_execution.run_id
    request = RecordWorkflowTaskStartedRequest(
        namespace_id=first.call.namespace_id,
        workflow_id="w",
        run_id=run_id,
        scheduled_event_id=2,
        stamp=1,
        request_id="another poll",
        durable=True,
    )
    with pytest.raises(NotFound):
        await first.history.record_workflow_task_started(first.call, request)
    record = await store.read_run(shard_id_of(request.namespace_id, "w", 4), request.namespace_id, "w", run_id)
    assert record is not None
    assert run_of(record).info.task.started_event_id == started.started_event_id


async def test_an_older_owner_does_not_remember_that_there_is_no_workflow(store: Misbehaving) -> None:
    first = await live(store)
    with pytest.raises(NotFound):
        await first.events("w")
    second = await live(store)
    await second.begin("w")
    assert await first.events("w")


async def test_an_older_owner_of_the_parent_does_not_take_the_end_of_a_child_for_old_news(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    run_id = (await first.task()).workflow_execution.run_id
    second = await live(store)
    await second.answer(await second.task(), START_CHILD)
    closed = RecordChildClosedRequest(
        namespace_id=first.call.namespace_id, workflow_id="w", run_id=run_id, initiated_event_id=5
    )
    with pytest.raises(ShardOwnershipLost):
        await first.history.record_child_closed(first.call, closed)


async def test_an_older_life_of_the_host_cannot_write(store: Misbehaving) -> None:
    first = await live(store)
    await first.begin("w")
    second = await live(store)
    with pytest.raises(Unavailable):
        await first.signal("w", "from the past")
    with pytest.raises(Unavailable):  # the first has taken the shard again, as nobody tells it that it must not
        await second.signal("w", "too early")
    await second.signal("w", "from the present")
    names = [e.workflow_execution_signaled_event_attributes.signal_name for e in await second.events("w")]
    assert [name for name in names if name] == ["from the present"]


async def test_a_query_of_a_terminated_run_is_not_answered_from_a_cache_that_ends_before(house: House) -> None:
    await house.begin("w")
    sticky = TaskQueue(name="sticky", kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=QUEUE.name)
    completed = api.RespondWorkflowTaskCompletedRequest(task_token=(await house.task()).task_token)
    completed.sticky_attributes.worker_task_queue.CopyFrom(sticky)
    completed.sticky_attributes.schedule_to_start_timeout.FromSeconds(10)
    await house.history.respond_workflow_task_completed(house.call, completed)
    execution = WorkflowExecution(workflow_id="w")
    await house.signal("w", "pay")
    terminate = api.TerminateWorkflowExecutionRequest(workflow_execution=execution)
    await house.history.terminate_workflow_execution(house.call, terminate)
    waits = api.PollWorkflowTaskQueueRequest(task_queue=sticky)
    at_sticky = asyncio.ensure_future(house.matching.poll_workflow_task_queue(house.call, waits))
    asked = asyncio.ensure_future(
        house.history.query_workflow(
            house.call, api.QueryWorkflowRequest(execution=execution, query=WorkflowQuery(query_type="state"))
        )
    )
    task = await house.task()
    assert [event.event_id for event in task.history.events][-1] == len(await house.events("w"))
    assert not at_sticky.done()
    at_sticky.cancel()
    asked.cancel()


async def test_an_outbox_is_empty_when_its_tasks_are_done(house: House, store: Misbehaving) -> None:
    await house.begin("w")
    await house.answer(await house.task(), SCHEDULE)
    await house.activity_done(await house.activity())
    await house.answer(await house.task(), COMPLETE)

    async def emptied() -> bool:
        rows = [
            await store.read_tasks(shard_id, category, (0, 0), 1, 100)
            for shard_id in range(1, 5)
            for category in (TaskCategory.IMMEDIATE, TaskCategory.VISIBILITY)
        ]
        return not any(rows)

    await eventually(emptied)


async def test_a_workflow_with_one_activity_costs_five_commits(house: House, store: Misbehaving) -> None:
    store.commits = 0
    await house.begin("w")
    await house.answer(await house.task(), SCHEDULE)
    await house.activity_done(await house.activity())
    await house.answer(await house.task(), COMPLETE)
    assert store.commits == 5  # start, first task, activity's start, its end, last task (design section 9)
