"""Membership of one process that is the whole cluster."""

from collections.abc import Callable, Mapping

from services.config import ServiceName
from services.membership.ring import Member, MemberState, Ring

_EMPTY = Ring()


class StaticMembership:
    """Every service at its one address, active from the start, with authority that nobody can take away."""

    def __init__(self, addresses: Mapping[ServiceName, str]) -> None:
        self._rings = {
            service: Ring([Member(service, address, MemberState.ACTIVE)]) for service, address in addresses.items()
        }

    def ring(self, service: ServiceName) -> Ring:
        return self._rings.get(service, _EMPTY)

    def watch(self, service: ServiceName, listener: Callable[[Ring], None]) -> Callable[[], None]:
        return _nothing

    @property
    def authority(self) -> bool:
        return True

    def watch_authority(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        return _nothing

    async def start(self) -> None: ...

    async def join(self, service: ServiceName, address: str) -> None: ...

    async def activate(self, service: ServiceName) -> None: ...

    async def drain(self, service: ServiceName) -> None: ...

    async def leave(self, service: ServiceName) -> None: ...

    async def close(self) -> None: ...


def _nothing() -> None:
    """Nothing changes, so there is nothing to unsubscribe from."""
