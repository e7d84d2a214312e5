"""Partitions: how they are called and chosen, and how tasks and pollers of different ones find each other."""

import asyncio
from collections import Counter
from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.errors import InvalidArgument, Unavailable
from services.protos.matching_pb2 import AddTaskRequest, QueryTaskRequest
from services.rpc import MATCHING, Call, Wire
from services.rpc.clients import AddTaskOutcome
from services.rpc.partitions import PartitionCounts, Partitioned, name_of, parent_of, parse
from tests.unit.matching.cluster import READ, WRITE, Cluster, Dice, Workers
from tests.unit.matching.conftest import ACTIVITY, NAMESPACE_ID, STICKY, WORKFLOW, settle

MATCHED, STORED = AddTaskOutcome.MATCHED, AddTaskOutcome.STORED


def partition(number: int) -> str:
    return name_of("q", number)


# Names and numbers.


def test_partitions_are_called_as_the_reference_calls_them() -> None:
    assert (name_of("q", 0), name_of("a/b", 3)) == ("q", "/_sys/a/b/3")
    assert (parse("q"), parse("/_sys/a/b/3")) == (("q", 0), ("a/b", 3))


@pytest.mark.parametrize("name", ["/_sys/", "/_sys/q", "/_sys/q/", "/_sys//1", "/_sys/q/0", "/_sys/q/-1", "/_sys/q/01"])
def test_names_of_the_system_that_are_no_partitions_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(name)


def test_every_way_up_the_tree_ends_at_the_root() -> None:
    assert [parent_of(n, 2) for n in range(1, 7)] == [0, 0, 1, 1, 2, 2]
    assert {parent_of(n, 20) for n in range(1, 21)} == {0}
    assert parent_of(21, 20) == 1


def test_one_host_needs_one_partition_unless_somebody_wants_more() -> None:
    hosts = 1
    counts = PartitionCounts(DynamicConfig(), lambda: hosts)
    assert (counts.read("ns", "q", 1), counts.write("ns", "q", 1), counts.all("ns", "q", 1)) == (1, 1, 4)
    hosts = 2
    assert (counts.read("ns", "q", 1), counts.write("ns", "q", 1), counts.all("ns", "q", 1)) == (4, 4, 4)
    alone = PartitionCounts(DynamicConfig())
    assert (alone.read("ns", "q", 1), alone.write("ns", "q", 1), alone.all("ns", "q", 1)) == (1, 1, 1)
    asked = PartitionCounts(DynamicConfig(overrides={READ: 6, WRITE: 3}))
    assert (asked.read("ns", "q", 1), asked.write("ns", "q", 1), asked.all("ns", "q", 1)) == (6, 3, 6)


# Choices.


class Chosen:
    """Where calls would go. Polls wait until they are let go."""

    def __init__(self, **values: int) -> None:
        self.names: list[str] = []
        self.let_go = asyncio.Event()
        config = DynamicConfig(overrides={READ: values.get("read", 4), WRITE: values.get("write", 4)})
        self._partitioned = Partitioned(self._send, PartitionCounts(config), Dice(1))

    async def _send(self, wire: Wire, call: Call, request: Any) -> None:
        queue = request.task_queue
        self.names.append(queue if isinstance(queue, str) else queue.name)
        if wire.name.startswith("poll"):
            await self.let_go.wait()

    async def send(self, method: str, request: Any) -> None:
        await self._partitioned.send(MATCHING[method], Call(namespace="ns", namespace_id="id"), request)


async def test_tasks_are_spread_over_the_write_partitions() -> None:
    chosen = Chosen(write=3, read=5)
    for _ in range(300):
        await chosen.send("add_task", AddTaskRequest(task_queue="q", task_queue_type=WORKFLOW))
    spread = Counter(chosen.names)
    assert set(spread) == {partition(n) for n in range(3)}
    assert min(spread.values()) > 60


async def test_polls_go_where_the_fewest_are() -> None:
    chosen = Chosen(read=4)

    def poll() -> asyncio.Task[None]:
        request = api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name="q"))
        return asyncio.create_task(chosen.send("poll_workflow_task_queue", request))

    polls = [poll() for _ in range(40)]
    await settle()
    assert set(Counter(chosen.names).values()) == {10}
    gone = [poll for poll, name in zip(polls, chosen.names, strict=True) if name == partition(2)][:5]
    for leaving in gone:
        leaving.cancel()
    await settle()
    del chosen.names[:]
    polls += [poll() for _ in range(5)]
    await settle()
    assert chosen.names == [partition(2)] * 5
    chosen.let_go.set()
    await asyncio.wait(polls)
    assert not chosen._partitioned._polls, "a queue nobody polls is forgotten"


async def test_what_has_no_partitions_or_names_one_goes_where_it_says() -> None:
    chosen = Chosen()
    chosen.let_go.set()
    sticky = TaskQueue(name="sticky", kind=STICKY)
    await chosen.send("poll_workflow_task_queue", api.PollWorkflowTaskQueueRequest(task_queue=sticky))
    await chosen.send("add_task", AddTaskRequest(task_queue="sticky", task_queue_kind=STICKY))
    await chosen.send("add_task", AddTaskRequest(task_queue=partition(2)))
    await chosen.send("describe_task_queue", api.DescribeTaskQueueRequest(task_queue=TaskQueue(name="q")))
    await chosen.send("query_workflow", QueryTaskRequest(task_queue=TaskQueue(name="q")))
    assert chosen.names == ["sticky", "sticky", partition(2), "q", "q"]


# Tasks and pollers.


@pytest.mark.parametrize("polled", range(4))
@pytest.mark.parametrize("added", range(4))
async def test_a_task_meets_a_poller_of_any_partition_and_is_not_written(added: int, polled: int) -> None:
    cluster = Cluster()
    poll = cluster.poll(at=polled)
    await settle()
    add = cluster.add("w1", at=added)
    assert await poll == "w1"
    assert await add is MATCHED
    assert cluster.queues.stored() == []
    assert not cluster.history.durable["w1"]


@pytest.mark.parametrize("polled", range(4))
@pytest.mark.parametrize("added", range(4))
async def test_a_task_that_waits_meets_a_poller_that_comes_to_any_partition(added: int, polled: int) -> None:
    cluster = Cluster()
    add = cluster.add("w1", at=added)
    await cluster.clock.advance(0.1)
    assert await cluster.poll(at=polled) == "w1"
    assert await add is MATCHED
    assert cluster.queues.stored() == []


@pytest.mark.parametrize("polled", range(4))
@pytest.mark.parametrize("added", range(4))
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_backlog_comes_to_a_poller_of_any_partition(added: int, polled: int, restarted: bool) -> None:
    cluster = Cluster()
    add = cluster.add("w1", at=added)
    await cluster.clock.advance(1)
    assert await add is STORED
    if restarted:
        for address in list(cluster.members):
            cluster.kill(address)
        cluster.join("host-8")
        cluster.join("host-9")
    assert await cluster.poll(at=polled) == "w1"
    assert cluster.history.durable["w1"], "another partition has it stored"
    await cluster.clock.advance(6)
    assert cluster.queues.stored() == []


async def test_tasks_and_pollers_meet_over_a_deep_tree() -> None:
    values = {READ: 8, WRITE: 8, "matching.forwarderMaxChildrenPerNode": 1}
    cluster = Cluster(3, values=values)
    poll = cluster.poll(at=7)
    await settle()
    add = cluster.add("w1", at=5)
    assert await poll == "w1"
    assert await add is MATCHED
    stored = cluster.add("w2", at=7)
    await cluster.clock.advance(3)
    assert await stored is STORED
    assert await cluster.poll(at=6) == "w2"


@pytest.mark.parametrize("kill", [False, True])
async def test_one_poller_drains_every_partition_while_their_number_changes(kill: bool) -> None:
    cluster = Cluster()
    for n in range(4):
        adds = [cluster.add(f"w{n}-{i}", at=n) for i in range(5)]
        await cluster.clock.advance(1)
        assert [await add for add in adds] == [STORED] * 5
    set_counts(cluster, read=1, write=1)
    if kill:
        cluster.kill("host-0")
    workers = Workers(cluster, 1)
    await cluster.run(10)
    if not kill:  # a host that never heard of them cannot know of partitions beyond the usual number
        assert workers.got.total() == 20
    set_counts(cluster, read=4, write=4)
    await cluster.run(60)
    assert workers.got == {f"w{n}-{i}": 1 for n in range(4) for i in range(5)}
    await workers.stop()


def set_counts(cluster: Cluster, **counts: int) -> None:
    keys = {"read": READ, "write": WRITE}
    cluster.config = DynamicConfig(overrides={keys[name]: count for name, count in counts.items()})
    cluster.counts._config = cluster.config


async def test_partitions_beyond_the_write_count_drain() -> None:
    cluster = Cluster()
    adds = [cluster.add(f"w{i}", at=3) for i in range(30)]
    await cluster.clock.advance(1)
    assert [await add for add in adds] == [STORED] * 30
    set_counts(cluster, read=4, write=1)
    workers = Workers(cluster, 2)
    for i in range(30):
        assert await cluster.add(f"v{i}") is MATCHED
        await cluster.clock.advance(0.1)
    await cluster.run(20)
    assert workers.got.total() == 60
    await workers.stop()


async def test_polls_in_vain_and_tasks_in_vain_are_few() -> None:
    """Ten a second, whatever comes."""
    cluster = Cluster(values={"matching.forwarderMaxOutstandingTasks": 1000})
    sent: Counter[str] = Counter()
    for host in cluster.hosts.values():
        inner = host._ask

        def counted(wire: Wire, call: Call, request: Any, inner: Any = inner) -> Any:
            sent[wire.name] += 1
            return inner(wire, call, request)

        host._ask = cast(Any, counted)
    for i in range(100):
        cluster.add(f"w{i}", at=3)
        await cluster.clock.advance(0.03)
    await cluster.clock.advance(1)
    assert 30 < sent["forward_task"] < 60
    workers = Workers(cluster, 1, at=3)
    await cluster.run(20)
    assert workers.got.total() == 100
    await workers.stop()


async def test_a_sync_match_elsewhere_does_not_wait_for_the_rate() -> None:
    cluster = Cluster()
    workers = Workers(cluster, 1, at=1)
    for i in range(100):
        assert await cluster.add(f"w{i}", at=2) is MATCHED
    assert workers.got.total() == 100
    assert cluster.queues.stored() == []
    await workers.stop()


async def test_a_query_reaches_a_poller_of_another_partition_and_its_answer_comes_back() -> None:
    cluster = Cluster()
    request = api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name=partition(2)))
    poll = asyncio.create_task(cast(Any, cluster.client.poll_workflow_task_queue(cluster.call(), request)))
    await settle()
    query = QueryTaskRequest(task_queue=TaskQueue(name="q"))
    asked = asyncio.create_task(cast(Any, cluster.client.query_workflow(cluster.call(), query)))
    token = api.PollWorkflowTaskQueueResponse.FromString(await poll).task_token
    answer = api.RespondQueryTaskCompletedRequest(task_token=token, namespace="answer")
    await cluster.client.respond_query_task_completed(cluster.call(), answer)
    assert (await asked).namespace == "answer"


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_start_that_history_could_not_answer_is_repeated_wherever_the_task_is(recorded: bool) -> None:
    cluster = Cluster()
    poll = cluster.poll(at=1)
    await settle()
    (cluster.history.after if recorded else cluster.history.before).append(Unavailable("later"))
    add = cluster.add("w1", at=2)
    await cluster.clock.advance(2)
    assert await poll == "w1", "under the same request id: history knows that it is the same start"
    assert await add in (MATCHED, STORED)


async def test_a_poller_that_leaves_while_its_poll_is_elsewhere_takes_no_task_along() -> None:
    cluster = Cluster()
    leaving = cluster.poll(at=1)
    await settle()
    leaving.cancel()
    await settle()
    add = cluster.add("w1")
    await cluster.clock.advance(0.5)
    assert await add is STORED
    assert await cluster.poll(at=1) == "w1"


async def test_a_worker_that_shuts_down_ends_its_polls_elsewhere() -> None:
    cluster = Cluster()
    mine, other = (cluster.poll(at=n, worker=f"key-{n}") for n in (1, 2))
    await settle()
    await cluster.client.shutdown_worker(
        cluster.call(), api.ShutdownWorkerRequest(worker_instance_key="key-1", task_queue="q")
    )
    assert await mine == ""
    assert not other.done()
    other.cancel()


async def test_a_sticky_queue_is_in_one_piece() -> None:
    cluster = Cluster()
    poll = cluster.poll("sticky", kind=STICKY)
    await settle()
    request = AddTaskRequest(task_queue="sticky", task_queue_kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY)
    request.task_queue_type = WORKFLOW
    request.task.namespace_id, request.task.workflow_id = NAMESPACE_ID, "w1"
    assert await cluster.client.add_task(cluster.call(), request) is MATCHED
    assert await poll == "w1"


# Numbers.


async def test_a_rate_is_divided_among_partitions() -> None:
    cluster = Cluster()
    polls = [cluster.poll_activity(at=n, rate=8) for n in range(4) for _ in range(10)]
    await settle()
    for n in range(4):
        for i in range(10):
            cluster.add(f"a{n}-{i}", at=n, type_=ACTIVITY)
    await settle()
    assert sum(poll.done() for poll in polls) == 8
    await cluster.clock.advance(1.05)
    assert sum(poll.done() for poll in polls) == 16
    shown = await cluster.describe(type_=ACTIVITY)
    assert shown.effective_rate_limit.requests_per_second == 8
    assert shown.stats.rate_limiting_active
    for poll in polls:
        poll.cancel()


async def test_describe_sums_up_all_partitions() -> None:
    cluster = Cluster(3)
    await asyncio.gather(*(cluster.poll(at=n, wait_s=1.5, identity=f"worker-{n}") for n in range(4)), _pass(cluster))
    for n in range(4):
        cluster.add(f"w{n}-1", at=n)
        cluster.add(f"w{n}-2", at=n)
        await cluster.clock.advance(1)
    await cluster.clock.advance(6)
    shown = await cluster.describe()
    assert sorted(poller.identity for poller in shown.pollers) == [f"worker-{n}" for n in range(4)]
    assert shown.stats.approximate_backlog_count == shown.task_queue_status.backlog_count_hint == 8
    assert shown.stats.approximate_backlog_age.ToMilliseconds() == 10_000
    assert shown.stats_by_priority_key[3] == shown.stats
    assert shown.stats.tasks_add_rate == pytest.approx(0.8, rel=0.3)
    alone = await cluster.describe(partition(2), report_stats=False)
    assert alone.task_queue_status.backlog_count_hint == 2
    with pytest.raises(InvalidArgument, match="stats are only supported for the root partition"):
        await cluster.describe(partition(2))
    workers = Workers(cluster, 4)
    await cluster.clock.advance(5)
    shown = await cluster.describe()
    assert (shown.stats.approximate_backlog_count, shown.stats.approximate_backlog_age.ToSeconds()) == (0, 0)
    assert shown.stats.tasks_dispatch_rate == pytest.approx(0.6, rel=0.4)
    await workers.stop()


async def test_the_partitions_that_are_polled_are_listed_with_their_owners() -> None:
    cluster = Cluster(2)
    cluster.place(name_of("q", 3), "host-1")
    request = api.ListTaskQueuePartitionsRequest(task_queue=TaskQueue(name="q"))
    listed = await cluster.client.list_task_queue_partitions(cluster.call(), request)
    for partitions in (listed.workflow_task_queue_partitions, listed.activity_task_queue_partitions):
        assert [shown.key for shown in partitions] == ["q", "/_sys/q/1", "/_sys/q/2", "/_sys/q/3"]
        assert {shown.owner_host_name for shown in partitions} <= {"host-0", "host-1"}
    assert listed.workflow_task_queue_partitions[3].owner_host_name == "host-1"


async def _pass(cluster: Cluster) -> None:
    await cluster.clock.advance(2)


async def test_settings_are_as_the_configuration_says_now(tmp_path: Any) -> None:
    file = tmp_path / "dynamic.yaml"
    file.write_text("matching.longPollExpirationInterval:\n  - value: 30s\n")
    cluster = Cluster(1)
    cluster.config = DynamicConfig(path=file)
    cluster.counts._config = cluster.config
    cluster.join("host-8")
    cluster.members.remove("host-0")
    poll = cluster.poll()
    await cluster.clock.advance(30)
    assert await poll == ""
    file.write_text("matching.longPollExpirationInterval:\n  - value: 20s\n    constraints: {taskQueueName: q}\n")
    assert cluster.config.reload()
    poll, other = cluster.poll(), cluster.poll("other")
    await cluster.clock.advance(20)
    assert await poll == ""
    assert not other.done()
    other.cancel()
