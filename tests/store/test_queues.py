"""The contract of QueueStore: leases, and backlogs that come back in order."""

import asyncio

import pytest

from services.persistence import BacklogTask, Outcome, QueueKey, QueueLease, Store

KEY = QueueKey(namespace_id="ns", name="queue", task_queue_type=1)
OTHERS = [
    QueueKey(namespace_id="other", name="queue", task_queue_type=1),
    QueueKey(namespace_id="ns", name="other", task_queue_type=1),
    QueueKey(namespace_id="ns", name="queue", task_queue_type=2),
    QueueKey(namespace_id="ns", name="queue", task_queue_type=1, partition=1),
]


def tasks(*ids: int) -> list[BacklogTask]:
    return [BacklogTask(task_id=task_id, blob=f"task {task_id}".encode()) for task_id in ids]


async def test_leases_follow_one_another(store: Store) -> None:
    assert await store.lease_queue(KEY) == QueueLease(range_id=1, ack_level=0)
    await store.acknowledge_backlog(KEY, 1, 17)
    assert await store.lease_queue(KEY) == QueueLease(range_id=2, ack_level=17)
    leases = await asyncio.gather(*[store.lease_queue(KEY) for _ in range(5)])
    assert sorted(lease.range_id for lease in leases) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("other", OTHERS)
async def test_a_queue_is_told_apart_by_each_part_of_its_key(store: Store, other: QueueKey) -> None:
    await store.lease_queue(KEY)
    await store.append_backlog(KEY, 1, tasks(1, 2))
    assert await store.lease_queue(other) == QueueLease(range_id=1, ack_level=0)
    assert await store.read_backlog(other, 0, 10) == []
    assert await store.backlog_count(other) == 0


async def test_a_backlog_is_read_in_pages(store: Store) -> None:
    await store.lease_queue(KEY)
    assert await store.append_backlog(KEY, 1, tasks(3, 1)) is Outcome.COMMITTED
    assert await store.append_backlog(KEY, 1, tasks(2, 5, 4)) is Outcome.COMMITTED
    assert await store.read_backlog(KEY, 0, 2) == tasks(1, 2)
    assert await store.read_backlog(KEY, 2, 2) == tasks(3, 4)
    assert await store.read_backlog(KEY, 4, 2) == tasks(5)
    assert await store.read_backlog(KEY, 5, 2) == []
    assert await store.backlog_count(KEY) == 5


async def test_acknowledged_tasks_are_gone(store: Store) -> None:
    await store.lease_queue(KEY)
    await store.append_backlog(KEY, 1, tasks(1, 2, 3))
    assert await store.acknowledge_backlog(KEY, 1, 2) is Outcome.COMMITTED
    assert await store.read_backlog(KEY, 0, 10) == tasks(3)
    assert await store.backlog_count(KEY) == 1


async def test_who_lost_the_lease_is_fenced(store: Store) -> None:
    await store.lease_queue(KEY)
    await store.append_backlog(KEY, 1, tasks(1))
    await store.lease_queue(KEY)
    assert await store.append_backlog(KEY, 1, tasks(2)) is Outcome.FENCED
    assert await store.acknowledge_backlog(KEY, 1, 1) is Outcome.FENCED
    assert await store.read_backlog(KEY, 0, 10) == tasks(1)
    assert await store.lease_queue(KEY) == QueueLease(range_id=3, ack_level=0)


async def test_a_queue_that_nobody_leased_is_fenced_and_empty(store: Store) -> None:
    assert await store.append_backlog(KEY, 1, tasks(1)) is Outcome.FENCED
    assert await store.append_backlog(KEY, 0, tasks(1)) is Outcome.FENCED
    assert await store.read_backlog(KEY, 0, 10) == []
    assert await store.backlog_count(KEY) == 0
