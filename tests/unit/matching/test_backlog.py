"""The backlog: order, leases, paging, acknowledgement, and a store that fails."""

import asyncio

import pytest

from services.errors import Unavailable
from services.matching import MatchingSettings
from services.matching.backlog import TASKS_PER_RANGE_BITS
from services.persistence import StoreError, UnknownOutcome
from services.protos.matching_pb2 import UnloadRequest
from services.rpc.clients import AddTaskOutcome
from tests.unit.matching.conftest import NAMESPACE_ID, Matching, settle


async def store(matching: Matching, *workflow_ids: str) -> None:
    adds = [matching.add(workflow_id) for workflow_id in workflow_ids]
    await matching.clock.advance(0.25)
    assert [await add for add in adds] == [AddTaskOutcome.STORED] * len(adds)


async def take(matching: Matching, count: int) -> list[str]:
    return [(await matching.poll()).task_token.decode() for _ in range(count)]


async def test_older_stored_tasks_go_before_newer_ones_in_memory(matching: Matching) -> None:
    await store(matching, "old")
    new = matching.add("new")
    await settle()
    assert await take(matching, 2) == ["old", "new"]
    assert await new is AddTaskOutcome.MATCHED


async def test_a_task_behind_an_old_backlog_is_stored_without_a_wait(matching: Matching) -> None:
    await store(matching, "old")
    await matching.clock.advance(6)
    assert await matching.add("new") is AddTaskOutcome.STORED
    assert await take(matching, 2) == ["old", "new"]


async def test_a_long_backlog_is_read_in_pages_and_in_order() -> None:
    settings = MatchingSettings(backlog_read_max=10, backlog_reload_at=3, backlog_append_max=7)
    matching = Matching(settings)
    names = [f"w{i:02}" for i in range(50)]
    await store(matching, *names[:25])
    matching.restart()
    await store(matching, *names[25:])
    assert await take(matching, 50) == names
    await matching.clock.advance(5)
    assert matching.queues.stored() == []


async def test_task_ids_of_a_later_lease_are_higher(matching: Matching) -> None:
    await store(matching, "w1")
    matching.restart()
    await store(matching, "w2")
    first, second = sorted(next(iter(matching.queues.rows.values())))
    assert first >> TASKS_PER_RANGE_BITS == 1
    assert second >> TASKS_PER_RANGE_BITS == 2


async def test_the_ack_level_stops_at_a_task_that_is_not_done(matching: Matching) -> None:
    await store(matching, "w1", "w2", "w3")
    gate = matching.history.gate = asyncio.Event()
    slow = matching.poll()
    await settle()
    matching.history.gate = None
    assert await take(matching, 2) == ["w2", "w3"]
    await matching.clock.advance(5)
    assert matching.queues.stored() == ["w1", "w2", "w3"]
    gate.set()
    assert (await slow).task_token == b"w1"
    await matching.clock.advance(5)
    assert matching.queues.stored() == []


async def test_many_done_tasks_are_acknowledged_without_a_wait() -> None:
    matching = Matching(MatchingSettings(acknowledge_after_tasks=3))
    await store(matching, *(f"w{i}" for i in range(5)))
    await take(matching, 3)
    await settle()
    assert matching.queues.stored() == ["w3", "w4"]


async def test_a_queue_that_stores_nothing_takes_no_lease(matching: Matching) -> None:
    poll = matching.poll()
    await settle()
    await matching.add("w1")
    await poll
    await matching.service.drain()
    assert matching.queues.range_ids == {}


@pytest.mark.parametrize("failure", [StoreError("disk full"), UnknownOutcome("timeout")])
async def test_a_task_that_cannot_be_stored_goes_back_to_its_adder(matching: Matching, failure: Exception) -> None:
    await store(matching, "w1")
    add = matching.add("w2")
    await settle()
    matching.queues.failures = [failure]
    await matching.clock.advance(0.2)
    with pytest.raises(Unavailable):
        await add
    await store(matching, "w3")
    assert await take(matching, 2) == ["w1", "w3"]


async def test_a_task_whose_poller_left_and_that_cannot_be_stored_goes_back_to_its_adder(matching: Matching) -> None:
    leaving = matching.poll()
    await settle()
    add = await matching.hand_over("w1")
    leaving.cancel()
    await settle()
    matching.queues.failures = [StoreError("disk full")]
    await matching.clock.advance(10)
    with pytest.raises(Unavailable):
        await add


async def test_a_backlog_that_cannot_be_read_is_read_later(matching: Matching) -> None:
    await store(matching, "w1")
    matching.restart()
    matching.queues.failures = [StoreError("busy"), UnknownOutcome("timeout")]
    poll = matching.poll()
    await matching.clock.advance(1)
    assert (await poll).task_token == b"w1"


async def test_a_queue_that_moved_to_another_host_gives_its_tasks_back(matching: Matching) -> None:
    await store(matching, "w1")
    (key,) = matching.queues.range_ids
    await matching.queues.lease_queue(key)  # another host
    add, poll = matching.add("w2"), matching.poll("other")
    await matching.clock.advance(0.2)
    with pytest.raises(Unavailable):
        await add
    poll.cancel()
    await store(matching, "w3")
    assert await take(matching, 2) == ["w1", "w3"]


async def test_tasks_stored_while_the_backlog_is_read_are_not_overlooked(matching: Matching) -> None:
    await store(matching, "w1")
    matching.restart()
    matching.queues.gate = asyncio.Event()
    poll = matching.poll()  # starts to read
    adds = [matching.add(f"w{i}") for i in (2, 3)]  # the first goes to the poller
    await matching.clock.advance(0.3)
    matching.queues.gate.set()
    assert (await poll).task_token == b"w2"
    await matching.clock.advance(0.3)
    assert await adds[1] is AddTaskOutcome.STORED
    assert await take(matching, 2) == ["w1", "w3"]


async def test_a_poller_that_comes_while_a_task_is_stored_gets_it(matching: Matching) -> None:
    await store(matching, "w1")
    assert await take(matching, 1) == ["w1"]
    add = matching.add("w2")
    await settle()
    matching.queues.gate = asyncio.Event()
    await matching.clock.advance(0.2)
    poll = matching.poll()
    await settle()
    matching.queues.gate.set()
    assert (await poll).task_token == b"w2"
    assert await add is AddTaskOutcome.STORED


async def test_what_another_host_stored_before_the_lease_is_found(matching: Matching) -> None:
    other_host = matching.service
    matching.restart()
    patient = matching.poll(wait_s=11)
    await matching.clock.advance(10)
    assert not (await patient).task_token
    matching.service, this_host = other_host, matching.service
    await store(matching, "w1")
    matching.service = this_host
    await store(matching, "w2")
    assert await take(matching, 2) == ["w1", "w2"]


async def test_draining_stores_what_waits_and_ends_polls(matching: Matching) -> None:
    polls = [matching.poll("empty") for _ in range(3)]
    add = matching.add("w1")
    await settle()
    await matching.service.drain()
    assert [(await poll).task_token for poll in polls] == [b""] * 3
    assert await add is AddTaskOutcome.STORED
    assert await matching.add("w2") is AddTaskOutcome.STORED
    assert await matching.add("w3", "never seen") is AddTaskOutcome.STORED
    assert not (await matching.poll()).task_token
    assert matching.queues.stored() == ["w1", "w2", "w3"]


async def test_draining_waits_for_starts_under_way_and_stores_what_they_give_back(matching: Matching) -> None:
    matching.history.gate = asyncio.Event()
    matching.history.failures = [Unavailable("shutting down")]
    poll = matching.poll()
    await settle()
    add = matching.add("w1")
    await settle()
    drain = asyncio.create_task(matching.service.drain())
    await settle()
    assert not drain.done()
    matching.history.gate.set()
    await drain
    assert not (await poll).task_token
    assert matching.queues.stored() == ["w1"]
    assert await add is AddTaskOutcome.STORED


async def test_draining_stores_what_a_leaving_poller_gives_back(matching: Matching) -> None:
    matching.history.gate = asyncio.Event()
    poll = matching.poll()
    await settle()
    add = matching.add("w1")
    await settle()
    drain = asyncio.create_task(matching.service.drain())
    await settle()
    poll.cancel()
    await drain
    assert matching.queues.stored() == ["w1"]
    assert await add is AddTaskOutcome.STORED


async def test_draining_writes_the_ack_level(matching: Matching) -> None:
    await store(matching, "w1", "w2")
    await take(matching, 1)
    await matching.service.drain()
    assert matching.queues.stored() == ["w2"]


async def test_an_idle_queue_is_unloaded_and_comes_back_with_its_backlog(matching: Matching) -> None:
    await store(matching, "w1")
    await matching.clock.advance(400)
    matching.queues.calls.clear()
    await matching.clock.advance(1000)
    assert matching.queues.calls == []
    assert matching.clock.pending() == 0
    assert await take(matching, 1) == ["w1"]


async def test_a_namespace_that_goes_takes_its_polls_along(matching: Matching) -> None:
    poll, other = matching.poll("q1"), matching.poll("q2")
    await settle()
    await matching.service.unload(matching.call(), UnloadRequest(namespace_id=NAMESPACE_ID, task_queues=["q1"]))
    assert not (await poll).task_token
    assert not other.done()
    await matching.service.unload(matching.call(), UnloadRequest(namespace_id=NAMESPACE_ID))
    assert not (await other).task_token
