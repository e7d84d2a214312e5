"""What the services know of membership; the implementations differ in where members come from."""

from collections.abc import Callable
from typing import Protocol

from services.config import ServiceName
from services.membership.ring import Ring


class Membership(Protocol):
    """The members of the cluster as this host sees them, and this host's own place among them.

    All of it belongs to the event loop; listeners are called on it, after the change shows in `ring` or `authority`.
    """

    def ring(self, service: ServiceName) -> Ring:
        """The last known view: empty before `start`, kept while this host is cut off. Never waits."""
        ...

    def watch(self, service: ServiceName, listener: Callable[[Ring], None]) -> Callable[[], None]:
        """Calls `listener` at every change of the ring from now on; returns what ends that."""
        ...

    @property
    def authority(self) -> bool:
        """Whether this host may act as an owner now; to be read before each act, however short ago the last read was.

        False before the other hosts can drop this one from their rings, and then until it is registered anew.
        """
        ...

    def watch_authority(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Calls `listener` at every change of `authority` from now on; returns what ends that."""
        ...

    async def start(self) -> None:
        """Returns with the first view of all rings; waits, and logs, while that cannot be had."""
        ...

    async def join(self, service: ServiceName, address: str) -> None:
        """Lists this host as a member that owns nothing yet. Once in, it is registered anew whenever that gets lost.

        Like the three below: returns when every host can see it and `ring` shows it, and waits while that cannot be;
        cancelled in its wait, it stays wanted and happens as soon as it can.
        """
        ...

    async def activate(self, service: ServiceName) -> None:
        """Makes this host an owner."""
        ...

    async def drain(self, service: ServiceName) -> None:
        """Ends its ownership; it stays listed, so that it can still be called."""
        ...

    async def leave(self, service: ServiceName) -> None:
        """Takes this host off the list."""
        ...

    async def close(self) -> None:
        """Leaves everything at once and ends the watches; there is no way back."""
        ...
