"""What tests see of memberships: every change with its moment, and waits that end with the change awaited."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from services.config import ServiceName, ZooKeeper
from services.membership import Membership, Ring, ZooKeeperMembership
from services.runtime import SystemChance, SystemClock

WAIT_S = 30.0
SESSION_S = 3.0


class Watched:
    """A membership and all it said: `rings` of one service and `authorities`, each with its monotonic time."""

    def __init__(self, membership: Membership, service: ServiceName = "history") -> None:
        self.membership = membership
        self.service = service
        self.rings: list[tuple[float, Ring]] = []
        self.authorities: list[tuple[float, bool]] = []
        self._changed = asyncio.Event()
        membership.watch(service, self._note_ring)
        membership.watch_authority(self._note_authority)

    @property
    def ring(self) -> Ring:
        return self.membership.ring(self.service)

    def states(self) -> dict[str, str]:
        return {member.address: str(member.state) for member in self.ring.members}

    async def until(self, condition: Callable[[], bool]) -> float:
        """When `condition` held; looked at after each change that this membership tells."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic()

    async def until_states(self, **states: str) -> float:
        """When the members were these: `h1="active"` stands for the host h1:1."""
        wanted = {f"{name}:1": state for name, state in states.items()}
        return await self.until(lambda: self.states() == wanted)

    async def until_authority(self, wanted: bool) -> float:
        """When `authority` was so and the listeners had heard it."""
        return await self.until(
            lambda: self.membership.authority == wanted and [said for _, said in self.authorities[-1:]] == [wanted]
        )

    def _note_ring(self, ring: Ring) -> None:
        assert self.membership.ring(self.service) == ring
        self.rings.append((time.monotonic(), ring))
        self._changed.set()

    def _note_authority(self, authority: bool) -> None:
        self.authorities.append((time.monotonic(), authority))
        self._changed.set()


def section(hosts: str, root: str, session_s: float = SESSION_S) -> ZooKeeper:
    return ZooKeeper(hosts=hosts, root=root, session_timeout=timedelta(seconds=session_s))


@asynccontextmanager
async def watched(settings: ZooKeeper, address: str = "") -> AsyncIterator[Watched]:
    """A membership that has started and, when it has an address, is an active member of history."""
    membership = ZooKeeperMembership(settings, SystemClock(), SystemChance())
    seen = Watched(membership)
    try:
        async with asyncio.timeout(WAIT_S):
            await membership.start()
            if address:
                await membership.join("history", address)
                await membership.activate("history")
        yield seen
    finally:
        await membership.close()
