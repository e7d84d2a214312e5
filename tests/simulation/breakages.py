"""Mistakes to make on purpose, each of which the simulation must find: `--break NAME`."""

from collections.abc import Callable
from typing import Any, Final

import services.history.requests
import services.history.starts
from services.history.outbox import TimerQueue
from services.history.shard import Shard
from services.history.starts import Starts
from tests.simulation.memory import Memory

Breakage = Callable[[Memory], None]


def fence(memory: Memory) -> None:
    """The database takes writes from whoever once held a shard."""
    _replace(memory, "holds", lambda shard_id, _range_id: memory.shards.get(shard_id))


def signal_dedupe(_memory: Memory) -> None:
    """A signal that is repeated counts again."""
    rooms: tuple[Any, ...] = (services.history.requests, services.history.starts)
    signal_run = rooms[0].signal_run

    def forgetful(draft: Any, **fields: Any) -> Any:
        return signal_run(draft, **fields | {"request_id": ""})

    for room in rooms:
        _replace(room, "signal_run", forgetful)


def start_dedupe(_memory: Memory) -> None:
    """A start that is repeated is not known again."""

    async def unknown(*_args: object) -> None:
        return None

    _replace(Starts, "_repeated", unknown)


def wake_up(_memory: Memory) -> None:
    """One in ten timers is forgotten as soon as it is committed."""
    add = TimerQueue.add
    added = 0

    def forgetful(queue: TimerQueue, key: Any, task: Any) -> None:
        nonlocal added
        added += 1
        if added % 10:
            add(queue, key, task)

    _replace(TimerQueue, "add", forgetful)


def hand_over(_memory: Memory) -> None:
    """Who takes a shard over does not look for the tasks that were left."""

    async def forgetful(shard: Shard) -> None:
        for acknowledged in shard.acknowledged.values():
            acknowledged.complete = True

    _replace(Shard, "resume", forgetful)


def _replace(owner: Any, name: str, mistake: Any) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, mistake)


BREAKAGES: Final[dict[str, Breakage]] = {
    each.__name__.replace("_", "-"): each for each in (fence, signal_dedupe, start_dedupe, wake_up, hand_over)
}
