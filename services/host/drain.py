"""How a host ends its service: others take over first, then calls under way are answered."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol

from services.config import ServiceName
from services.membership import Membership
from services.rpc.server import Server
from services.telemetry import get_logger

GRACE_S = 2.0  # calls that are still under way after it are told to come again
WRITE_S_MAX = 0.5 * GRACE_S
LEAVE_S_MAX = 2 * GRACE_S  # nobody hears of it when ZooKeeper is away
DRAIN_S_MAX = 2 * GRACE_S

_log = get_logger("host")


class Drains(Protocol):
    async def hand_over(self) -> None:
        """Writes what is in memory alone and others need to go on, before they take over."""
        ...

    async def drain(self) -> None:
        """Ends long polls politely, and lets go of what waits in memory."""
        ...


async def drain(
    membership: Membership, services: Sequence[ServiceName], servers: Iterable[Server], parts: Iterable[Drains]
) -> None:
    """Whatever fails or hangs of it, the rest is done: what was acknowledged is stored, the others find out."""

    async def leave() -> None:
        for service in services:
            await membership.drain(service)

    parts = tuple(parts)
    writes = [_attempt("Not all was handed over", WRITE_S_MAX, part.hand_over()) for part in parts]
    await asyncio.gather(*writes)
    await _attempt("Others were not told to take over", LEAVE_S_MAX, leave())
    waits = [server.drain(GRACE_S) for server in servers]
    waits += [part.drain() for part in parts]
    await asyncio.gather(*(_attempt("The drain did not end well", DRAIN_S_MAX, wait) for wait in waits))


async def _attempt(failure: str, seconds_max: float, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await work
    except TimeoutError:
        _log.warning(failure, reason="it took too long", seconds_max=seconds_max)
    except Exception:
        _log.exception(failure)
