"""The shards of this host: taken as the ring gives them, let go as the ring takes them away."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable

from services.errors import ShardOwnershipLost, Unavailable
from services.history.metrics import ShardMetrics
from services.history.shard import Shard
from services.history.waits import wait_for
from services.membership import Membership, Ring
from services.persistence import StoreError, UnknownOutcome
from services.runtime import Clock, TimerHandle
from services.telemetry import get_logger

_log = get_logger("history")

TAKEN_AT_ONCE = 64  # acquisitions under way; more would only queue in the store
WAIT_S = 5.0  # so long a call waits for a shard that is being acquired
PAUSE_S = 0.05  # before an acquisition is tried again, doubled up to:
PAUSE_S_MAX = 1.0
TELL_S = 1.0  # between lines that say that it is


class Shards:
    """Which shards this host holds. `forget` clears what memory knows of workflows in shards that were let go.

    Holding is a belief: the fence in the store decides. A host that may have been cut off holds nothing.
    """

    def __init__(
        self,
        membership: Membership,
        address: str,
        shard_count: int,
        clock: Clock,
        make: Callable[[int], Shard],
        forget: Callable[[frozenset[int]], None],
    ) -> None:
        self._membership, self._address, self._clock = membership, address, clock
        self._make, self._forget = make, forget
        self._keys = [str(shard_id) for shard_id in range(1, shard_count + 1)]
        self._owners: list[str] = [""] * shard_count
        self._held: dict[int, Shard] = {}
        self._queue: OrderedDict[int, None] = OrderedDict()  # to be acquired, in this order
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._acquiring: set[int] = set()
        self._pauses: dict[int, float] = {}  # how long the next will be
        self._paused: dict[int, TimerHandle] = {}
        self._failures, self._failures_told_at = 0, -math.inf
        self._workers: set[asyncio.Task[None]] = set()
        self._working = 0
        self._watches: list[Callable[[], None]] = []
        self._stopped = False
        self._metrics = ShardMetrics()
        self._round_began = 0.0
        self._metrics.held.read(self.__len__)

    async def start(self) -> None:
        """Follows the ring from now on; returns when everything it gives this host now is held."""
        self._watches = [
            self._membership.watch("history", self._ring_changed),
            self._membership.watch_authority(lambda _authority: self._look()),
        ]
        self._look()
        await self.settled()

    async def settled(self) -> None:
        """Waits until nothing is being acquired."""
        while self._workers:
            await asyncio.wait(set(self._workers))

    async def stop(self) -> None:
        """Lets everything go; rows of tasks that were done are deleted first."""
        self._stopped = True
        for end in self._watches:
            end()
        for worker in self._workers:
            worker.cancel()
        for paused in self._paused.values():
            paused.cancel()
        self._queue.clear()
        for shard_id in list(self._waiting):
            self._tell(shard_id)
        held, self._held = self._held, {}
        for shard in held.values():
            shard.stop()
        await asyncio.gather(*(shard.flush() for shard in held.values()))

    # What the engine asks.

    def held(self, shard_id: int) -> Shard:
        """Raises ShardOwnershipLost with the host that may have it."""
        shard = self._held.get(shard_id)
        if shard is None or not self._membership.authority:
            raise ShardOwnershipLost(shard_id, self._owners[shard_id - 1])
        return shard

    async def get(self, shard_id: int) -> Shard:
        """The same, but waits while the shard is being acquired. Raises Unavailable when that takes too long."""
        until = self._clock.monotonic() + WAIT_S
        while True:
            shard = self._held.get(shard_id)
            if shard is not None and self._membership.authority:
                return shard
            if self._stopped or not self._is_ours(shard_id):
                raise ShardOwnershipLost(shard_id, self._owners[shard_id - 1])
            self._take_next(shard_id)
            waiting = self._waiting.setdefault(shard_id, asyncio.get_running_loop().create_future())
            if not await wait_for(self._clock, waiting, until):
                raise Unavailable(f"shard {shard_id} is being acquired, please retry")

    def __len__(self) -> int:
        return len(self._held)

    def drop(self, shard: Shard) -> None:
        """The store refused this host's fence, or nobody knows what became of a write: only a new fence helps."""
        if self._held.get(shard.shard_id) is not shard:
            return
        self._metrics.closed.inc()
        self._let_go([shard.shard_id])
        if self._is_ours(shard.shard_id):
            self._take_later(shard.shard_id)

    # Following the ring.

    def _is_ours(self, shard_id: int) -> bool:
        return self._owners[shard_id - 1] == self._address and self._membership.authority

    def _ring_changed(self, _ring: Ring) -> None:
        self._metrics.membership_changes.inc()
        self._look()

    def _look(self) -> None:
        if self._stopped:
            return
        ring = self._membership.ring("history")
        self._owners = [member.address if member is not None else "" for member in ring.owners(self._keys)]
        self._let_go([shard_id for shard_id in self._held if not self._is_ours(shard_id)])
        for shard_id in range(1, len(self._keys) + 1):
            if shard_id not in self._paused and self._is_to_be_taken(shard_id):
                self._queue[shard_id] = None
        for shard_id in [shard_id for shard_id in self._waiting if not self._is_ours(shard_id)]:
            self._tell(shard_id)
        self._employ()

    def _let_go(self, shard_ids: Iterable[int]) -> None:
        lost = frozenset(shard_ids)
        if not lost:
            return
        _log.info("Shards are let go", count=len(lost))
        self._metrics.removed.inc(len(lost))
        for shard_id in lost:
            self._held.pop(shard_id).stop()
        self._forget(lost)

    # Acquiring.

    def _take_next(self, shard_id: int) -> None:
        """Somebody waits for it. One that is not queued is being acquired, or waits for its pause to end."""
        if shard_id in self._queue:
            self._queue.move_to_end(shard_id, last=False)

    def _is_to_be_taken(self, shard_id: int) -> bool:
        return shard_id not in self._held and shard_id not in self._acquiring and self._is_ours(shard_id)

    def _take_later(self, shard_id: int) -> None:
        if shard_id in self._paused or not self._is_ours(shard_id):
            return
        pause_s = self._pauses.get(shard_id, 0.0)
        self._pauses[shard_id] = min(max(pause_s * 2, PAUSE_S), PAUSE_S_MAX)

        def take() -> None:
            del self._paused[shard_id]
            if not self._stopped and self._is_to_be_taken(shard_id):
                self._queue[shard_id] = None
                self._employ()

        self._paused[shard_id] = self._clock.call_later(pause_s, take)

    def _employ(self) -> None:
        if self._queue and not self._working:
            self._metrics.rounds.inc()
            self._round_began = self._clock.monotonic()
        for _ in range(min(len(self._queue), TAKEN_AT_ONCE - self._working)):
            self._working += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        try:
            while self._queue:
                shard_id, _ = self._queue.popitem(last=False)
                shard = await self._acquire(shard_id) if self._is_to_be_taken(shard_id) else None
                self._tell(shard_id)
                if shard is not None:
                    await self._resume(shard)
        finally:
            self._working -= 1  # at once: whoever queues another must not count on this one
            if not self._working:
                self._metrics.round_latency.observe(self._clock.monotonic() - self._round_began)

    async def _acquire(self, shard_id: int) -> Shard | None:
        """Only once at a time: of two fences of one host the later one would be held, or the earlier one."""
        shard, began = self._make(shard_id), self._clock.monotonic()
        self._acquiring.add(shard_id)
        try:
            await shard.acquire()
        except Exception as error:
            self._failed(shard_id, error)
            return None
        finally:
            self._acquiring.discard(shard_id)
        if self._stopped or not self._is_ours(shard_id):  # it went elsewhere meanwhile
            return None
        self._held[shard_id] = shard
        self._metrics.created.inc()
        self._metrics.acquisition.observe(self._clock.monotonic() - began)
        return shard

    async def _resume(self, shard: Shard) -> None:
        try:
            await shard.resume()
        except Exception as error:
            if self._held.get(shard.shard_id) is shard:
                self._let_go([shard.shard_id])
                self._failed(shard.shard_id, error)
        else:
            self._pauses.pop(shard.shard_id, None)

    def _failed(self, shard_id: int, error: Exception) -> None:
        """Whatever it was, it is tried again. While a store is away there are many, and one line a second tells it."""
        self._failures += 1
        now = self._clock.monotonic()
        if now >= self._failures_told_at + TELL_S:
            known = isinstance(error, StoreError | UnknownOutcome)
            tell = _log.warning if known else _log.exception
            tell(
                "Shards could not be acquired and are tried again",
                count=self._failures,
                shard_id=shard_id,
                error=str(error),
            )
            self._failures, self._failures_told_at = 0, now
        self._take_later(shard_id)

    def _tell(self, shard_id: int) -> None:
        waiting = self._waiting.pop(shard_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
