"""Waiting for a future until an instant on the injected clock."""

import asyncio
from typing import Any

from services.runtime import Clock


async def wait_for(clock: Clock, future: "asyncio.Future[Any]", until: float) -> bool:
    """True when the future is done, False when `until` (monotonic seconds) came first. The future is not cancelled."""
    left_s = until - clock.monotonic()
    if left_s <= 0:
        return future.done()
    alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(*_: object) -> None:
        if not alarm.done():
            alarm.set_result(None)

    handle = clock.call_later(left_s, wake)
    future.add_done_callback(wake)
    try:
        await alarm
    finally:
        handle.cancel()
        future.remove_done_callback(wake)
    return future.done()
