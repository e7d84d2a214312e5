"""An asyncio event loop on a virtual clock: when nothing is left to do at an instant, time jumps to the next timer.

Everything that runs belongs to a `Life`, told by its context. A life that has ended never runs again, not even its
`finally` clauses; one that is frozen runs again when it thaws. Nothing in here depends on addresses in memory, so that
a seed gives the same order in every process.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

T = TypeVar("T")
Args = TypeVarTuple("Args")

TURN_S = 1e-6  # what one turn of the loop takes
BUSY_S, BUSY_MAX = 1.0, 300_000  # more callbacks than that in a second of virtual time are a loop that does not wait

LIFE: ContextVar["Life"] = ContextVar("life")


class Livelock(Exception):
    """Virtual time hardly moves, or nothing is left that could happen."""


class Life:
    """One life of a host: all its tasks and timers, which end with it at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = False
        self.frozen = False
        self.signals: dict[int, Callable[[], object]] = {}
        self.parked: list[asyncio.Handle] = []
        self._context = copy_context()
        self._context.run(LIFE.set, self)

    def context(self) -> Context:
        return self._context.copy()

    def __repr__(self) -> str:
        return self.name


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is virtual. What different lives have ready at one instant runs in an order that `mix` gives."""

    _ready: deque[asyncio.Handle]  # asyncio's, as are the timers
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, mix: Callable[[], float]) -> None:
        super().__init__()
        self._now = 0.0
        self._mix = mix
        self._second, self._callbacks = 0.0, 0
        self._numbers = itertools.count(1)
        self._graveyard: list[object] = []
        self.set_task_factory(cast(Any, self._new_task))

    def time(self) -> float:
        return self._now

    def next_number(self) -> int:
        return next(self._numbers)

    def spawn(self, life: Life, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs `work` in a life."""
        return self.create_task(work, context=life.context())

    def end(self, life: Life) -> None:
        """The process is gone. What it was doing is kept, so that no clean-up code runs when it would be collected."""
        life.ended = True
        life.parked.clear()
        self._graveyard.extend(task for task in asyncio.all_tasks(self) if cast(_Task, task).life is life)

    def thaw(self, life: Life) -> None:
        """What came due meanwhile is done now, in its order."""
        life.frozen = False
        parked, life.parked = life.parked, []
        self._ready.extend(handle for handle in parked if not handle.cancelled())

    # What asyncio's base class leaves to its children.

    def create_future(self) -> "asyncio.Future[Any]":
        return _Future(loop=self)

    def _new_task(self, _loop: object, work: Coroutine[Any, Any, T], **options: Any) -> "asyncio.Task[T]":
        return _Task(work, loop=self, **options)

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Args]], object], *args: *Args) -> None:
        LIFE.get().signals[sig] = partial(callback, *args)

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is thrown away when its time comes."""

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            while scheduled and scheduled[0].cancelled():
                heapq.heappop(scheduled)
            if not scheduled:
                raise Livelock("nothing is left that could happen")
            self._now = max(self._now, scheduled[0].when())
        self._now += TURN_S
        while scheduled and scheduled[0].when() <= self._now:
            timer = heapq.heappop(scheduled)
            if not timer.cancelled():
                ready.append(timer)
        batch = self._mixed()
        ready.clear()
        self._count(batch)
        for handle in batch:
            if handle.cancelled():
                continue
            life = _life_of(handle)
            if life is None or not (life.ended or life.frozen):
                handle._run()
            elif not life.ended:
                life.parked.append(handle)

    def _count(self, batch: list[asyncio.Handle]) -> None:
        if self._now > self._second + BUSY_S:
            self._second, self._callbacks = self._now, 0
        self._callbacks += len(batch)
        if self._callbacks > BUSY_MAX:
            raise Livelock(f"{self._callbacks} callbacks within {BUSY_S} s; the last is {batch[-1]!r}")

    def _mixed(self) -> list[asyncio.Handle]:
        """asyncio promises an order within a process; between processes there is none."""
        batch = list(self._ready)
        lives = dict.fromkeys(_life_of(handle) for handle in batch)
        if len(lives) < 2:
            return batch
        places = {life: self._mix() for life in lives}
        return sorted(batch, key=lambda handle: places[_life_of(handle)])


def _life_of(handle: asyncio.Handle) -> Life | None:
    context: Context = handle._context  # type: ignore[attr-defined]  # asyncio's own
    return context.get(LIFE)


class _Future(asyncio.Future[Any]):
    """Hashed by its number: sets of futures are walked in the same order in every process."""

    def __init__(self, *, loop: VirtualLoop) -> None:
        super().__init__(loop=loop)
        self._number = loop.next_number()

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Task(asyncio.Task[Any]):
    """The same. One that dies with its life is no mistake that asyncio should complain of."""

    def __init__(self, work: Coroutine[Any, Any, Any], *, loop: VirtualLoop, **options: Any) -> None:
        self._number = loop.next_number()  # asyncio puts the task in a set at once
        context: Context | None = options.get("context")
        self.life = LIFE.get(None) if context is None else context.get(LIFE)
        super().__init__(work, loop=loop, **options)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other
