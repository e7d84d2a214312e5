"""Partitions of task queues: how they are called, how many there are, and how callers choose one.

Partition n of queue q is called /_sys/q/n on the wire; partition 0, the root, is called q. Sticky queues have no other.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from temporalio.api.enums.v1 import TaskQueueKind

from services.config import DynamicConfig, Setting, limits
from services.errors import InvalidArgument
from services.rpc.call import Call
from services.rpc.stand_in import Send
from services.rpc.wire import ACTIVITY, WORKFLOW, Wire
from services.runtime import Chance

PREFIX: Final = "/_sys/"
STICKY: Final = TaskQueueKind.TASK_QUEUE_KIND_STICKY
# The keys and scopes of the reference, but 0 for "nobody set it": then the number of hosts decides.
READ_PARTITIONS: Final = Setting(limits.READ_PARTITIONS.key, 0, limits.READ_PARTITIONS.scope)
WRITE_PARTITIONS: Final = Setting(limits.WRITE_PARTITIONS.key, 0, limits.WRITE_PARTITIONS.scope)
ALONE: Final = 1  # on one host partitions bring nothing


class PartitionName(NamedTuple):
    """`queue` is the task queue's own name."""

    queue: str
    partition: int


def name_of(queue: str, partition: int) -> str:
    """What a partition is called on the wire."""
    return f"{PREFIX}{queue}/{partition}" if partition else queue


def parse(name: str) -> PartitionName:
    """What a name on the wire means. InvalidArgument for one of the system's that is no partition's."""
    if not name.startswith(PREFIX):
        return PartitionName(name, 0)
    queue, slash, number = name.removeprefix(PREFIX).rpartition("/")
    if not (queue and slash and number.isascii() and number.isdecimal()) or str(int(number)) != number or number == "0":
        raise InvalidArgument(f"invalid task queue partition name {name}")
    return PartitionName(queue, int(number))


def parent_of(partition: int, children_max: int) -> int:
    """The partition that a partition forwards to, in a tree with the root on top. Not to be asked of the root."""
    return (partition - 1) // children_max


class PartitionCounts:
    """How many partitions each queue has now. `hosts` says how many hosts serve matching; None: only ever this one."""

    def __init__(self, config: DynamicConfig, hosts: Callable[[], int] | None = None) -> None:
        self._config, self._hosts = config, hosts

    def write(self, namespace: str, queue: str, task_type: int) -> int:
        """Tasks are added to the first so many."""
        return self._config.get(WRITE_PARTITIONS, namespace, queue, task_type) or self._by_hosts()

    def read(self, namespace: str, queue: str, task_type: int) -> int:
        """The first so many are polled."""
        return self._config.get(READ_PARTITIONS, namespace, queue, task_type) or self._by_hosts()

    def all(self, namespace: str, queue: str, task_type: int) -> int:
        """So many may hold tasks: one host of a cluster that had more cannot know what they left."""
        return max(
            self.read(namespace, queue, task_type),
            self.write(namespace, queue, task_type),
            ALONE if self._hosts is None else limits.READ_PARTITIONS.default,
        )

    def _by_hosts(self) -> int:
        if self._hosts is None or self._hosts() <= 1:
            return ALONE
        return limits.READ_PARTITIONS.default


class Partitioned:
    """Stands before the matching client and chooses the partition: `send` for `stand_in`. Queries, describes and all
    that names a partition itself go where they say; a plain queue name is the root's."""

    def __init__(self, send: Send, counts: PartitionCounts, chance: Chance) -> None:
        self._send, self._counts, self._chance = send, counts, chance
        self._polls: dict[tuple[str, str, int], list[int]] = {}  # polls under way from here, by partition

    def send(self, wire: Wire, call: Call, request: Any) -> Awaitable[Any]:
        if wire.name == "add_task":
            self._choose_for_task(call, request)
        elif wire.name == "poll_workflow_task_queue":
            return self._poll(wire, call, request, WORKFLOW)
        elif wire.name == "poll_activity_task_queue":
            return self._poll(wire, call, request, ACTIVITY)
        return self._send(wire, call, request)

    def _choose_for_task(self, call: Call, request: Any) -> None:
        if request.task_queue_kind == STICKY or request.task_queue.startswith(PREFIX):
            return
        count = self._counts.write(call.namespace, request.task_queue, request.task_queue_type)
        if count > 1:
            request.task_queue = name_of(request.task_queue, self._any_of(count))

    def _poll(self, wire: Wire, call: Call, request: Any, task_type: int) -> Awaitable[Any]:
        queue = request.task_queue.name
        if request.task_queue.kind == STICKY or queue.startswith(PREFIX):
            return self._send(wire, call, request)
        count = self._counts.read(call.namespace, queue, task_type)
        if count == 1:
            return self._send(wire, call, request)
        return self._poll_one_of(count, wire, call, request, (call.namespace_id, queue, task_type))

    async def _poll_one_of(self, count: int, wire: Wire, call: Call, request: Any, key: tuple[str, str, int]) -> Any:
        polls = self._polls.setdefault(key, [])
        polls.extend([0] * (count - len(polls)))
        fewest = min(polls[:count])
        partition = [n for n in range(count) if polls[n] == fewest][self._any_of(polls[:count].count(fewest))]
        polls[partition] += 1
        request.task_queue.name = name_of(key[1], partition)
        try:
            return await self._send(wire, call, request)
        finally:
            polls[partition] -= 1
            if not any(polls):
                self._polls.pop(key, None)

    def _any_of(self, count: int) -> int:
        return int(self._chance.random() * count)
