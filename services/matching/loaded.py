"""The partitions in this host's memory: loaded when they are called for, while the ring says that they are ours."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TypeAlias

from services.errors import TaskQueueOwnershipLost
from services.matching.forwarder import Forwarder
from services.matching.metrics import OMITTED
from services.matching.peers import Peers
from services.matching.queue import QueuePartition
from services.matching.settings import LiveSettings, SettingsSource
from services.matching.tasks import Task
from services.persistence import QueueKey, QueueStore
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome
from services.rpc.partitions import parse
from services.rpc.routing import Owners, matching_keys
from services.rpc.wire import queue_key
from services.runtime import Clock

SWEEP_S = 60.0
RELEASE_AGAIN_S = 0.1
WAKE_AFTER_S = 60.0  # a root that nobody polled for so long wakes the other partitions when somebody does

Key: TypeAlias = tuple[str, str, int]  # namespace id, the partition's name, type


class LoadedPartitions:
    """At most one of each partition is alive here: the next waits until the one before has let go.

    `lost` hears of partitions that went to another host.
    """

    def __init__(
        self,
        store: QueueStore,
        peers: Peers,
        clock: Clock,
        source: SettingsSource,
        *,
        owners: Owners | None,
        address: str,
        send_up: Callable[[QueuePartition, Task], Awaitable[AddTaskOutcome]],
        lost: Callable[[QueuePartition, str], None],
    ) -> None:
        self._store, self._peers, self._clock, self._source = store, peers, clock, source
        self._owners, self._address = owners, address
        self._send_up, self._lost = send_up, lost
        self._queues: dict[Key, QueuePartition] = {}
        self._closing: dict[Key, asyncio.Task[None]] = {}
        self._waking: set[asyncio.Task[None]] = set()
        self._sweeping = False
        self.draining = False

    def get(self, namespace_id: str, name: str, task_type: int) -> QueuePartition | None:
        return self._queues.get((namespace_id, name, task_type))

    async def open(
        self, call: Call, name: str, task_type: int, *, sticky: bool = False, normal_name: str = ""
    ) -> QueuePartition:
        """`normal_name`: of a sticky queue. Raises TaskQueueOwnershipLost when it belongs to another host,
        InvalidArgument for a bad name."""
        key = call.namespace_id, name, task_type
        while (closing := self._closing.get(key)) is not None:
            await asyncio.wait([closing])
        queue = self._queues.get(key)
        if queue is None:
            self.check_owner(queue_key(call.namespace_id, task_type, name))
            queue = self._load(call, key, sticky=sticky, shown_as=(normal_name or OMITTED) if sticky else "")
        return queue

    def check_owner(self, about: tuple[str, ...]) -> None:
        """Raises TaskQueueOwnershipLost when what the call is about belongs to another host."""
        owner = self.owner(about)
        if owner != self._address:
            raise TaskQueueOwnershipLost(owner)

    def owner(self, about: tuple[str, ...]) -> str:
        """The address of the host that it belongs to; "" when nobody knows."""
        return self._address if self._owners is None else self._owners.owner(matching_keys(about))

    def _load(self, call: Call, key: Key, *, sticky: bool, shown_as: str) -> QueuePartition:
        namespace_id, name, task_type = key
        queue_name, partition = parse(name)

        def lose() -> None:
            if self._queues.get(key) is queue and not self.draining:
                self._close_soon([queue])

        queue = QueuePartition(
            self._store,
            QueueKey(namespace_id=namespace_id, name=queue_name, task_queue_type=task_type, partition=partition),
            self._clock,
            LiveSettings(self._source, call.namespace, queue_name, task_type, sticky=sticky),
            name=name,
            namespace=call.namespace,
            send_up=self._send_up if partition else None,
            on_lost=lose,
            shared=self._owners is not None,
            shown_as=shown_as,
        )
        self._queues[key] = queue
        queue.metrics.started(queue)
        if self.draining:
            queue.stop()
        elif not self._sweeping:
            self._sweeping = True
            self._clock.call_later(SWEEP_S, self._sweep)
        return queue

    def before_poll(self, queue: QueuePartition) -> None:
        """What other partitions hold comes to the pollers of the root, once their owners know of it."""
        if not queue.key.partition and queue.settings.partitions_all() > 1 and not queue.polled_within(WAKE_AFTER_S):
            self._in_background(self._peers.wake(queue))

    def _sweep(self) -> None:
        self._sweeping = False
        self._close_soon([queue for queue in self._queues.values() if queue.is_idle()])
        if self._queues and not self.draining:
            self._sweeping = True
            self._clock.call_later(SWEEP_S, self._sweep)

    # The ring turns.
    def rebalance(self) -> None:
        """To be called at each change of the ring: lets go of what is another's now, and looks after its own again."""
        if self._owners is None or self.draining:
            return
        for key, queue in list(self._queues.items()):
            owner = self.owner(queue_key(key[0], key[2], key[1]))
            if owner != self._address:
                self._lost(queue, owner)
                self._close_soon([queue], moved_to=owner)
        roots = [queue for queue in self._queues.values() if not queue.key.partition]
        self._in_background(self._wake_all([root for root in roots if root.polled_within(WAKE_AFTER_S)]))

    async def _wake_all(self, roots: Iterable[QueuePartition]) -> None:
        for root in roots:
            await self._peers.wake(root)

    def _in_background(self, waking: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(waking)
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    # The end.
    def _close_soon(self, queues: Sequence[QueuePartition], *, moved_to: str | None = None) -> None:
        for queue in queues:
            key = queue.key.namespace_id, queue.name, queue.key.task_queue_type
            del self._queues[key]
            queue.stop(moved_to=moved_to)
            self._closing[key] = asyncio.create_task(self._close_one(key, queue, moved=moved_to is not None))

    async def _close_one(self, key: Key, queue: QueuePartition, *, moved: bool) -> None:
        try:
            await self._close(queue)
        finally:
            del self._closing[key]
        if moved and queue.backlog.count > 0 and not queue.settings.sticky:
            self._in_background(self._peers.wake(queue, [queue.key.partition]))

    async def _close(self, queue: QueuePartition) -> None:
        queue.metrics.stopped(queue)
        releasing = None
        if queue.forwarder is not None and queue.forwarder.polls:
            releasing = asyncio.create_task(self._release_polls(queue, queue.forwarder))
        await queue.close()
        if releasing is not None:
            await releasing

    async def _release_polls(self, queue: QueuePartition, forwarder: Forwarder) -> None:
        """Until they are back: one that was on its way may come to the parent after the word that calls it back."""
        while forwarder.polls:
            await self._peers.release_polls(queue)
            if forwarder.polls:
                await self._clock.sleep(RELEASE_AGAIN_S)

    async def unload(self, namespace_id: str, names: Sequence[str]) -> None:
        """All of a namespace when no queues are named. Waits until they are gone."""
        mine = [queue for queue in self._queues.values() if queue.key.namespace_id == namespace_id]
        self._close_soon([queue for queue in mine if not names or queue.key.name in names])
        await self._wait_for_closing()

    async def drain(self) -> None:
        """Ends all polls politely and stores what waits in memory. Later polls end at once, later tasks are stored."""
        self.draining = True
        for waking in self._waking:
            waking.cancel()
        queues = list(self._queues.values())
        for queue in queues:
            queue.stop()
        await asyncio.gather(*(self._close(queue) for queue in queues))
        await self._wait_for_closing()

    async def _wait_for_closing(self) -> None:
        if self._closing:
            await asyncio.wait(list(self._closing.values()))
