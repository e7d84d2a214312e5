"""Which host a call goes to, and what happens when that one has changed: the same for history and for matching."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from services.errors import DeadlineExceeded, OwnershipLost, Unavailable, Unreachable
from services.rpc.call import Call
from services.rpc.stand_in import Send
from services.rpc.wire import Wire
from services.runtime import Clock

PATIENCE_S = 10.0  # so long a call looks for an owner, unless its deadline is nearer: a takeover takes less
PAUSE_S = 0.02
PAUSE_S_MAX = 0.5

Connect = Callable[[str], Send]


class Owners(Protocol):
    """Who owns what: addresses of hosts, from the ring."""

    def owner(self, key: str) -> str:
        """The owner's address; "" when there is no host at all."""
        ...

    def everyone(self) -> tuple[str, ...]: ...


def shard_id_of(namespace_id: str, workflow_id: str, shard_count: int) -> int:
    """The shard of a workflow id. The mapping is permanent: data lies where it says."""
    return zlib.crc32(f"{namespace_id}_{workflow_id}".encode()) % shard_count + 1


def history_keys(shard_count: int) -> Callable[[tuple[str, ...]], str]:
    """From a workflow (namespace id, workflow id) to its key on the ring of history hosts: its shard."""
    return lambda about: str(shard_id_of(about[0], about[1], shard_count))


def matching_keys(about: tuple[str, ...]) -> str:
    """From a task queue partition, or a namespace, to its key on the ring of matching hosts."""
    return "\0".join(about)


class Router:
    """Sends calls to owners. Follows hints, and repeats what did nothing or may be repeated, until patience ends."""

    def __init__(self, owners: Owners, key: Callable[[tuple[str, ...]], str], connect: Connect, clock: Clock) -> None:
        self._owners, self._key, self._connect, self._clock = owners, key, connect, clock

    async def send(self, wire: Wire, call: Call, request: Any) -> Any:
        """Raises what the owner raised; Unavailable when none was found in time.

        Never OwnershipLost: a caller that serves a call itself would seem to say it of what that one is about.
        """
        if wire.everywhere:
            return await self._tell_everyone(wire, call, request)
        key = self._key(wire.about(call, request))
        until = self._clock.monotonic() + PATIENCE_S
        if call.deadline is not None:
            until = min(until, call.deadline)
        hint, pause_s = "", PAUSE_S
        while True:
            address = hint or self._owners.owner(key)
            hint = ""
            try:
                if not address:
                    raise Unreachable("no host of the service is known yet, please retry", sent=False)
                return await self._connect(address)(wire, call, request)
            except OwnershipLost as lost:
                failure = Unavailable(lost.message)
                if lost.owner != address:
                    hint = lost.owner
            except Unreachable as error:
                if error.sent and not wire.repeatable:
                    raise
                failure = error
            if self._clock.monotonic() + pause_s >= until:
                raise failure
            if not hint or pause_s > PAUSE_S:  # the first hint is followed at once, later ones may go in circles
                await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)

    async def _tell_everyone(self, wire: Wire, call: Call, request: Any) -> None:
        """Hosts that cannot be reached, or do not answer, have nothing to forget."""
        told = [self._connect(address)(wire, call, request) for address in self._owners.everyone()]
        for outcome in await asyncio.gather(*told, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Unavailable | DeadlineExceeded):
                raise outcome
