"""The way to the database: requests and answers take time, and now and then nobody says what became of a write.

Whatever was sent lands, though its sender has given up, or is gone: the fence is what keeps it from doing harm.
"""

import asyncio
from typing import Any, Final, cast

from services.persistence import Outcome, QueueKey, Store, StoreError, UnknownOutcome
from tests.simulation.loop import Life
from tests.simulation.memory import Memory
from tests.simulation.world import World

PATIENCE_S: Final = 5.0  # so long a host waits for an answer
LANDS_LATE_S: Final = 8.0
CALM: Final = frozenset({"create_namespace", "cluster_value", "set_cluster_value"})  # what hosts start with
DULL: Final = frozenset({"list_namespaces"})  # not worth a line


class DatabaseClient:
    """One host's `Store`. `Memory` does what arrives, at once."""

    def __init__(self, world: World, memory: Memory, life: Life) -> None:
        self._world, self._memory, self._life = world, memory, life

    @classmethod
    def store(cls, world: World, memory: Memory, life: Life) -> Store:
        return cast(Store, cls(world, memory, life))

    async def close(self) -> None:
        """What was accepted is on its way."""

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self._memory, name):
            raise AttributeError(name)

        async def call(*args: Any, **named: Any) -> Any:
            return await self._ask(name, args, named)

        return call

    async def _ask(self, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        world, weather = self._world, self._world.weather
        answer: asyncio.Future[Any] = world.loop.create_future()
        there_s = back_s = world.random.expovariate(1 / weather.delay_s)
        there_s += max(0.0, world.database_back_at - world.loop.time())
        if world.happens(weather.store_slow):
            there_s += world.random.uniform(0, weather.store_slow_s or 1.0)
        if name not in CALM and world.happens(weather.store_refused):
            world.later(there_s, self._tell, answer, StoreError("the database is busy"))
        else:
            if name not in CALM and world.happens(weather.store_unknown):
                gives_up_s = world.random.uniform(0, 2)
                there_s = world.random.choice((there_s, float("inf"), world.random.uniform(0, LANDS_LATE_S)))
            else:
                gives_up_s = PATIENCE_S
            alarm = world.loop.call_later(gives_up_s, self._tell, answer, UnknownOutcome("no answer came"))
            if there_s < float("inf"):
                world.later(there_s, self._arrive, name, args, named, answer, back_s)
            answer.add_done_callback(lambda _answer: alarm.cancel())
        return await answer

    def _arrive(
        self, name: str, args: tuple[Any, ...], named: dict[str, Any], answer: "asyncio.Future[Any]", back_s: float
    ) -> None:
        try:
            found = getattr(self._memory, name)(*args, **named)
        except Exception as error:
            found = error
        late = ", though its sender is gone" if self._life.ended else ", late" if answer.done() else ""
        shown = found.name if isinstance(found, Outcome) else type(found).__name__
        if name not in DULL:
            self._world.trace.note(self._life, f"database {name} {_about(args)}: {shown}{late}")
        self._world.later(back_s, self._tell, answer, found)

    def _tell(self, answer: "asyncio.Future[Any]", found: Any) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            if not isinstance(found, StoreError | UnknownOutcome):
                self._world.trace.note(self._life, f"database raises {found!r}")
            answer.set_exception(found)
        else:
            answer.set_result(found)


def _about(args: tuple[Any, ...]) -> str:
    if args and hasattr(args[0], "workflow_id"):
        commit = args[0]
        runs = " ".join(f"{run.run_id[-4:]}:{run.version}" for run in commit.runs)
        return f"shard {commit.shard_id}/{commit.range_id} {commit.workflow_id} {runs} +{len(commit.tasks)} tasks"
    return " ".join(_shown(arg) for arg in args if isinstance(arg, str | int | QueueKey))


def _shown(arg: object) -> str:
    return f"{arg.name}#{arg.partition}/{arg.task_queue_type}" if isinstance(arg, QueueKey) else str(arg)
