"""The consistent-hash ring: a pure function of the members, equal on every host that knows the same ones.

Each active member takes POINTS places on a circle of 64-bit numbers; a key belongs to the first place at or after its
own. A member that comes takes keys for itself, one that goes leaves its keys to the others, no other key moves.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

from services.config import ServiceName

POINTS = 192  # per member: shares are even within about 7 % (one standard deviation, 1 / sqrt(POINTS))
_POINT_BYTES = 8
_POINTS_PER_DIGEST = blake2b.MAX_DIGEST_SIZE // _POINT_BYTES


class MemberState(StrEnum):
    """How far a member is: only an active one owns keys; joining and draining ones can still be called."""

    JOINING = "joining"
    ACTIVE = "active"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One host in one service. `started` (ms) tells the lives of an address apart: a later one has a larger number."""

    service: ServiceName
    address: str
    state: MemberState
    started: int = 0


class Ring:
    """The members of one service and what each of them owns. Immutable; rings of equal members are equal."""

    __slots__ = ("_owners", "_points", "members")

    members: tuple[Member, ...]

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self.members = tuple(sorted(members))
        active = {member.address: member for member in self.members if member.state is MemberState.ACTIVE}
        placed = sorted((point, address) for address in active for point in _points(address))
        self._points = [point for point, _ in placed]
        around = placed + placed[:1]  # a key past the last place belongs to the first
        self._owners = [active[address] for _, address in around]

    def owner(self, key: str) -> Member | None:
        """The active member that owns `key`; None when there is no active member."""
        return self._owners[bisect_left(self._points, _place(key))] if self._points else None

    def owners(self, keys: Iterable[str]) -> list[Member | None]:
        """The owner of each key, in their order: what `owner` says, in bulk."""
        points, owners = self._points, self._owners
        if not points:
            return [None for _ in keys]
        return [owners[bisect_left(points, _place(key))] for key in keys]

    def __eq__(self, other: object) -> bool:
        return self.members == other.members if isinstance(other, Ring) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.members)

    def __repr__(self) -> str:
        return f"Ring({', '.join(f'{member.address} {member.state}' for member in self.members)})"


def _place(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=_POINT_BYTES).digest())


@lru_cache(maxsize=1024)
def _points(address: str) -> tuple[int, ...]:
    """Where a member stands: the same places on every host, in every life of it."""
    digests = [blake2b(f"{address}#{i}".encode()).digest() for i in range(POINTS // _POINTS_PER_DIGEST)]
    joined = b"".join(digests)
    return tuple(int.from_bytes(joined[i : i + _POINT_BYTES]) for i in range(0, len(joined), _POINT_BYTES))
