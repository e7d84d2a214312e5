"""What follows from a commit is seen a little later, and nothing tells when: it is asked for until it is there."""

import asyncio
from collections.abc import Awaitable, Callable

LIMIT_S = 15.0
ASK_AGAIN_S = 0.02


async def until(read: Callable[[], Awaitable[object]], expected: object) -> None:
    """Reads until it is as expected; fails with what was read last."""
    deadline = asyncio.get_running_loop().time() + LIMIT_S
    while (found := await read()) != expected:
        assert asyncio.get_running_loop().time() < deadline, f"{found!r} is not {expected!r}"
        await asyncio.sleep(ASK_AGAIN_S)
