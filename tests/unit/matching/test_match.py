"""Tasks meet pollers: at once, after a wait, or by way of the backlog; and none is ever lost."""

import asyncio
import gc

import pytest

from services.errors import NotFound, Unavailable
from services.matching.tasks import Poller
from services.protos.history_pb2 import RecordWorkflowTaskStartedRequest
from services.rpc.clients import AddTaskOutcome
from tests.unit.matching.conftest import Matching, settle


async def test_a_waiting_poller_gets_the_task_and_nothing_is_written(matching: Matching) -> None:
    poll = matching.poll()
    await settle()
    assert await matching.add("w1") is AddTaskOutcome.MATCHED
    assert (await poll).task_token == b"w1"
    assert matching.queues.calls == ["read"]
    (started,) = matching.history.started
    assert isinstance(started, RecordWorkflowTaskStartedRequest)
    assert started.request_id
    assert not started.durable


async def test_a_task_waits_in_memory_for_a_poller(matching: Matching) -> None:
    add = matching.add("w1")
    await matching.clock.advance(0.15)
    assert (await matching.poll()).task_token == b"w1"
    assert await add is AddTaskOutcome.MATCHED
    assert matching.queues.stored() == []


async def test_tasks_nobody_takes_are_stored_by_one_write(matching: Matching) -> None:
    adds = [matching.add(f"w{i}") for i in range(5)]
    await matching.clock.advance(0.2)
    assert [await add for add in adds] == [AddTaskOutcome.STORED] * 5
    assert matching.queues.stored() == ["w0", "w1", "w2", "w3", "w4"]
    assert [c for c in matching.queues.calls if c.startswith("append")] == ["append 5"]


async def test_every_task_is_stored_when_its_own_wait_is_over(matching: Matching) -> None:
    first = matching.add("w1")
    await matching.clock.advance(0.1)
    second = matching.add("w2")
    await matching.clock.advance(0.15)
    assert (first.done(), second.done()) == (True, False)
    await matching.clock.advance(0.06)
    assert (await first, await second) == (AddTaskOutcome.STORED, AddTaskOutcome.STORED)


async def test_pollers_and_tasks_are_served_in_order(matching: Matching) -> None:
    polls = [matching.poll() for _ in range(3)]
    await settle()
    for i in range(3):
        await matching.add(f"w{i}")
    assert [(await poll).task_token for poll in polls] == [b"w0", b"w1", b"w2"]


async def test_a_stored_task_is_started_durably_and_then_forgotten(matching: Matching) -> None:
    add = matching.add("w1")
    await matching.clock.advance(0.2)
    assert await add is AddTaskOutcome.STORED
    assert (await matching.poll()).task_token == b"w1"
    (started,) = matching.history.started
    assert isinstance(started, RecordWorkflowTaskStartedRequest)
    assert started.durable
    assert matching.queues.stored() == ["w1"]
    await matching.clock.advance(5)
    assert matching.queues.stored() == []


async def test_an_earlier_life_left_tasks(matching: Matching) -> None:
    add = matching.add("w1")
    await matching.clock.advance(0.2)
    await add
    matching.restart()
    poll = matching.poll()
    assert (await poll).task_token == b"w1"
    matching.restart()
    assert (await matching.poll()).task_token == b"w1", "delivered again, for the start was never acknowledged"


async def test_a_poll_that_finds_nothing_ends_before_its_caller_gives_up(matching: Matching) -> None:
    poll = matching.poll(wait_s=10)
    await matching.clock.advance(8.9)
    assert not poll.done()
    await matching.clock.advance(0.1)
    assert not (await poll).task_token


async def test_a_poll_without_deadline_ends_after_the_long_poll_time(matching: Matching) -> None:
    poll = matching.poll(wait_s=1000)
    await matching.clock.advance(60)
    assert not (await poll).task_token


async def test_a_poller_that_leaves_is_not_handed_a_task(matching: Matching) -> None:
    leaving, staying = matching.poll(), matching.poll()
    await settle()
    leaving.cancel()  # it has not run yet when the task comes
    add = await matching.hand_over("w1")
    assert (await staying).task_token == b"w1"
    assert await add is AddTaskOutcome.MATCHED


async def test_a_task_handed_to_a_poller_that_leaves_goes_to_the_next(matching: Matching) -> None:
    leaving, staying = matching.poll(), matching.poll()
    await settle()
    add = await matching.hand_over("w1")
    leaving.cancel()  # the task is handed over, and the poller has not woken up yet
    assert (await staying).task_token == b"w1"
    assert await add is AddTaskOutcome.MATCHED
    assert leaving.cancelled()


async def test_a_task_whose_only_poller_leaves_is_stored(matching: Matching) -> None:
    leaving = matching.poll()
    await settle()
    add = await matching.hand_over("w1")
    leaving.cancel()
    await matching.clock.advance(0.2)
    assert matching.queues.stored() == ["w1"]
    assert await add is AddTaskOutcome.STORED


async def test_a_poller_that_leaves_during_the_start_passes_the_task_on(matching: Matching) -> None:
    matching.history.gate = asyncio.Event()
    leaving = matching.poll()
    await settle()
    add = matching.add("w1")
    await settle()
    assert len(matching.history.started) == 1
    leaving.cancel()
    matching.history.gate.set()
    assert (await matching.poll()).task_token == b"w1"
    first, second = matching.history.started
    assert await add is AddTaskOutcome.MATCHED
    assert first.request_id == second.request_id, "history must see that it is one start, told twice"


async def test_an_obsolete_task_is_dropped_and_the_poller_waits_on(matching: Matching) -> None:
    matching.history.failures = [NotFound("over")]
    poll = matching.poll()
    await settle()
    await matching.add("w1")
    await settle()
    assert not poll.done()
    await matching.add("w2")
    assert (await poll).task_token == b"w2"


async def test_a_poller_that_had_an_obsolete_task_keeps_its_deadline(matching: Matching) -> None:
    matching.history.failures = [NotFound("over")]
    poll = matching.poll(wait_s=11)
    await matching.clock.advance(6)
    await matching.add("w1")
    await matching.clock.advance(4)
    assert not (await poll).task_token


@pytest.mark.parametrize("stored", [False, True])
async def test_a_task_that_history_cannot_start_now_is_retried(matching: Matching, stored: bool) -> None:
    matching.history.failures = [Unavailable("later"), Unavailable("later"), RuntimeError("bug")]
    if stored:
        add = matching.add("w1")
        await matching.clock.advance(0.2)
        poll = matching.poll()
    else:
        poll = matching.poll()
        await settle()
        add = matching.add("w1")
    await matching.clock.advance(1)
    assert await add is (AddTaskOutcome.STORED if stored else AddTaskOutcome.MATCHED)
    assert (await poll).task_token == b"w1"
    assert len(matching.history.started) == 4


async def test_an_expired_task_is_dropped(matching: Matching) -> None:
    add = matching.add("w1", expire_in_s=10)
    await matching.clock.advance(0.2)
    await add
    await matching.clock.advance(10)
    poll = matching.poll()
    await matching.clock.advance(6)
    assert not poll.done()
    assert matching.queues.stored() == []
    poll.cancel()


async def test_an_adder_that_leaves_does_not_take_its_task_along(matching: Matching) -> None:
    add = matching.add("w1")
    await settle()
    add.cancel()
    await settle()
    assert (await matching.poll()).task_token == b"w1"


async def test_a_poll_that_ends_leaves_no_timer(matching: Matching) -> None:
    poll = matching.poll()
    await settle()
    before = matching.clock.pending()
    await matching.add("w1")
    await poll
    assert matching.clock.pending() == before - 1


async def test_polls_that_end_leave_nothing_behind(matching: Matching) -> None:
    def pollers() -> list[Poller]:
        gc.collect()
        return [thing for thing in gc.get_objects() if type(thing) is Poller]

    elsewhere = pollers()  # other tests' ones
    polls = [matching.poll() for _ in range(10)]
    await matching.clock.advance(60)
    assert all(poll.done() for poll in polls)
    assert not [each for each in pollers() if not any(each is other for other in elsewhere)]
