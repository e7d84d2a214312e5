"""Partitions that move between hosts, and hosts that die: what was accepted is delivered, and nothing twice."""

import asyncio
import random
from typing import Any

import pytest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.errors import TaskQueueOwnershipLost, Unavailable
from services.persistence import QueueKey, StoreError, UnknownOutcome
from services.protos.matching_pb2 import AddTaskRequest, QueryTaskRequest
from services.rpc import Call, Wire
from services.rpc.clients import AddTaskOutcome
from services.rpc.partitions import name_of
from tests.unit.matching.cluster import READ, WRITE, Cluster, Workers
from tests.unit.matching.conftest import NAMESPACE_ID, NORMAL, WORKFLOW, settle

MATCHED, STORED = AddTaskOutcome.MATCHED, AddTaskOutcome.STORED
ONE = {READ: 1, WRITE: 1}


def placed(*hosts: str, count: int = 2) -> Cluster:
    """Partition n of the queue is on the n-th host of these."""
    cluster = Cluster(count)
    for number, address in enumerate(hosts):
        cluster.place(name_of("q", number), address)
    return cluster


async def test_a_call_for_another_hosts_partition_names_the_owner() -> None:
    cluster = placed("host-1")
    service = cluster.hosts["host-0"].service
    queue, call = TaskQueue(name="q"), cluster.call()
    task = AddTaskRequest(task_queue="q", task_queue_type=WORKFLOW, task_queue_kind=NORMAL)
    for asking in (
        service.add_task(call, task),
        service.forward_task(call, task),
        service.poll_workflow_task_queue(call, api.PollWorkflowTaskQueueRequest(task_queue=queue)),
        service.query_workflow(call, QueryTaskRequest(task_queue=queue)),
        service.describe_task_queue(call, api.DescribeTaskQueueRequest(task_queue=queue)),
    ):
        with pytest.raises(TaskQueueOwnershipLost) as lost:
            await asking
        assert lost.value.owner == "host-1"


async def test_polls_follow_a_partition_that_moves() -> None:
    cluster = placed("host-0")
    poll = cluster.poll(at=0)
    await settle()
    cluster.place("q", "host-1")
    cluster.turn()
    await settle()
    assert await cluster.add("w1", at=0) is MATCHED
    assert await poll == "w1"


async def test_a_task_that_waits_in_memory_is_added_again_where_its_partition_went() -> None:
    cluster = placed("host-0")
    add = cluster.add("w1", at=0)
    await settle()
    cluster.place("q", "host-1")
    cluster.turn()
    await settle()
    assert cluster.queues.stored() == []
    await cluster.clock.advance(0.3)
    assert await add is STORED
    assert await cluster.poll(at=0) == "w1"


async def test_a_backlog_that_moves_is_loaded_where_it_goes_though_nobody_asks() -> None:
    cluster = placed("host-0", "host-0", "host-0", "host-0")
    adds = [cluster.add(f"w{i}", at=3) for i in range(3)]
    await cluster.clock.advance(1)
    assert [await add for add in adds] == [STORED] * 3
    poll = cluster.poll(at=1)
    cluster.place(name_of("q", 3), "host-1")
    cluster.turn()
    assert await poll in {"w0", "w1", "w2"}
    assert await cluster.poll(at=2)
    assert await cluster.poll(at=0)


async def test_a_write_that_comes_after_the_move_is_refused() -> None:
    """The new owner may have looked already, and would never look again."""
    cluster = placed("host-0")
    late = cluster.queues.append_gate = asyncio.Event()
    add = cluster.add("w1", at=0)
    await cluster.clock.advance(0.25)
    cluster.place("q", "host-1")
    cluster.turn()
    poll = cluster.poll(at=0)
    await cluster.clock.advance(0.1)
    late.set()
    await cluster.clock.advance(0.3)
    assert poll.done()
    assert await poll == "w1"
    assert await add is MATCHED


async def test_a_query_whose_partition_moves_is_asked_again() -> None:
    cluster = placed("host-0")
    request = api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name="q"))
    first = asyncio.create_task(_poll(cluster, request))
    query = QueryTaskRequest(task_queue=TaskQueue(name="q"))
    asked = asyncio.create_task(_ask(cluster, query))
    late = await first
    cluster.place("q", "host-1")
    cluster.turn()
    again = await asyncio.create_task(_poll(cluster, request))
    assert again.task_token != late.task_token
    answer = api.RespondQueryTaskCompletedRequest(task_token=again.task_token, namespace="answer")
    await cluster.client.respond_query_task_completed(cluster.call(), answer)
    assert (await asked).namespace == "answer"


async def _poll(cluster: Cluster, request: api.PollWorkflowTaskQueueRequest) -> api.PollWorkflowTaskQueueResponse:
    reply = await cluster.routed.poll_workflow_task_queue(cluster.call(), request)
    return api.PollWorkflowTaskQueueResponse.FromString(reply)


async def _ask(cluster: Cluster, query: QueryTaskRequest) -> api.RespondQueryTaskCompletedRequest:
    return await cluster.client.query_workflow(cluster.call(), query)


async def test_a_host_whose_lease_was_taken_lets_go_and_takes_it_again_only_if_it_is_the_owner() -> None:
    cluster = placed("host-0")
    add = cluster.add("w1", at=0)
    await cluster.clock.advance(1)
    assert await add is STORED
    key = QueueKey(namespace_id=NAMESPACE_ID, name="q", task_queue_type=WORKFLOW)
    await cluster.queues.lease_queue(key)
    fenced = cluster.add("w2", at=0)
    await cluster.clock.advance(1)
    assert await fenced is STORED, "the router asks again, and the ring still says that this host is the owner"
    await cluster.queues.lease_queue(key)
    cluster.placed[_ring_key("q")] = "host-1"  # the ring has turned, and the host has not heard of it
    fenced = cluster.add("w3", at=0)
    await cluster.clock.advance(1)
    assert await fenced is STORED
    assert cluster.queues.range_ids[key] == 5, "one for each host that took it, and for each theft"
    assert {await cluster.poll(at=0) for _ in range(3)} == {"w1", "w2", "w3"}


def _ring_key(name: str) -> str:
    return f"{NAMESPACE_ID}\0{int(WORKFLOW)}\0{name}"


async def test_a_host_that_leaves_calls_back_the_polls_it_forwarded() -> None:
    cluster = placed("host-0", "host-1")
    poll = cluster.poll(at=1)
    await settle()
    leaving = asyncio.create_task(cluster.leave("host-1"))
    await cluster.clock.advance(0.1)
    assert leaving.done(), "it need not wait for the poll's own end"
    assert await cluster.add("w1", at=1) is MATCHED
    assert await poll == "w1"


async def test_a_poll_that_comes_to_the_parent_after_it_was_called_back_is_called_back_again() -> None:
    cluster = placed("host-1", "host-0")
    parent, arrives = cluster.hosts["host-1"], asyncio.Event()
    send = parent.send

    async def late(wire: Wire, call: Call, request: Any) -> Any:
        if wire.name == "poll_workflow_task_queue" and call.forwarded_from:
            await arrives.wait()
        return await send(wire, call, request)

    parent.send = late  # type: ignore[method-assign]  # the network is slow
    cluster.poll(at=1)
    await settle()
    leaving = asyncio.create_task(cluster.leave("host-0"))
    await cluster.run(0.2)
    arrives.set()
    await cluster.run(1)
    assert leaving.done()


async def test_a_parent_that_dies_leaves_the_stored_task_to_its_partition() -> None:
    cluster = placed("host-0", "host-1")
    add = cluster.add("w1", at=1)
    await cluster.clock.advance(1)
    assert await add is STORED
    cluster.kill("host-0")
    await cluster.clock.advance(1)
    assert await cluster.poll(at=0) == "w1"


async def test_a_parent_that_dies_while_it_starts_a_task_leaves_it_to_its_partition() -> None:
    cluster = placed("host-0", "host-1")
    poll = cluster.poll(at=0)
    await settle()
    held = cluster.history.hold = asyncio.Event()
    add = cluster.add("w1", at=1)
    await settle()
    cluster.kill("host-0")
    cluster.history.hold = None
    held.set()
    await cluster.clock.advance(1)
    assert await add in (MATCHED, STORED)
    with pytest.raises(Unavailable):
        await poll
    assert cluster.history.starts["w1"], "it was on its way: history has it, and nobody else gets it"
    nobody = cluster.poll(at=0)
    await cluster.clock.advance(1)
    assert not nobody.done()
    nobody.cancel()


async def test_a_host_that_dies_before_the_start_owes_its_adder_the_answer() -> None:
    cluster = placed("host-0", "host-1")
    poll = cluster.poll(at=0)
    await settle()
    held = cluster.history.hold = asyncio.Event()
    add = asyncio.create_task(cluster.add_until_accepted("w1"))
    for address in list(cluster.members):
        await settle()
        assert not add.done()
        cluster.kill(address)
        cluster.join(f"{address}-again")
    cluster.history.hold = None
    held.set()
    with pytest.raises(Unavailable):
        await poll
    workers = Workers(cluster, 1)
    await cluster.run(10)
    assert await add in (MATCHED, STORED)
    assert "w1" in cluster.history.starts
    await workers.stop()


async def test_an_append_of_unknown_outcome_loses_nothing_and_leaves_nothing() -> None:
    cluster = Cluster(1, values=ONE)
    cluster.queues.lose_answers = 1
    add = asyncio.create_task(cluster.add_until_accepted("w1"))
    await cluster.clock.advance(0.21)
    assert cluster.queues.stored() == ["w1"]
    workers = Workers(cluster, 1)
    await cluster.run(10)
    assert await add in (MATCHED, STORED)
    assert workers.got == {"w1": 1}
    assert cluster.queues.stored() == [], "what was stored without an answer is found"
    assert (await cluster.describe()).stats.approximate_backlog_count == 0
    await workers.stop()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kills", [False, True])
async def test_a_storm(seed: int, kills: bool) -> None:
    """Hosts come, go and die, the store and history fail, partitions change in number, under thousands of tasks."""
    dice = random.Random(seed)
    cluster = Cluster(3, seed=seed)
    workers, adds = Workers(cluster, 6), dict[str, asyncio.Task[AddTaskOutcome]]()
    for step in range(150):
        for i in range(dice.choice([0, 0, 4, 20])):
            adds[f"w{step}-{i}"] = asyncio.create_task(cluster.add_until_accepted(f"w{step}-{i}"))
        await _misfortune(cluster, dice, step, kills=kills)
        await cluster.clock.advance(dice.choice([0.01, 0.05, 0.3]))
    cluster.queues.failures.clear()
    cluster.queues.lose_answers = 0
    cluster.history.before.clear()
    cluster.history.after.clear()
    for _ in range(60):
        await cluster.run(2)
        if len(cluster.history.starts) == len(adds) and not cluster.queues.stored():
            break
    assert all(add.done() for add in adds.values())
    assert set(cluster.history.starts) == set(adds), "every task that was accepted is started"
    assert max(workers.got.values()) == 1, "no task goes to two pollers"
    if not kills:  # what a dead host was about to answer, and what history has not answered, is history's to time out
        assert set(adds) - set(workers.got) <= cluster.history.unanswered
    assert cluster.queues.stored() == []
    await workers.stop()


async def _misfortune(cluster: Cluster, dice: random.Random, step: int, *, kills: bool) -> None:
    luck = dice.random()
    if luck < 0.06:
        cluster.join(f"late-{step}")
    elif luck < 0.12 and len(cluster.members) > 1:
        address = dice.choice(cluster.members)
        if kills:
            cluster.kill(address)
        else:
            leaving = asyncio.create_task(cluster.leave(address))
            await cluster.run(20)
            assert leaving.done()
    elif luck < 0.2:
        cluster.place(name_of("q", dice.randrange(4)), dice.choice(cluster.members))
        cluster.turn()
    elif luck < 0.3:
        cluster.queues.failures.append(dice.choice([StoreError("no"), UnknownOutcome("timeout")]))
    elif luck < 0.35:
        cluster.queues.lose_answers += 1
    elif luck < 0.45:
        cluster.history.before.append(Unavailable("later"))
    elif luck < 0.5 and not kills:
        cluster.history.after.append(Unavailable("later"))
