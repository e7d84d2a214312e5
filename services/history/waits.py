"""Waits: until an instant on the injected clock, and for what must not be interrupted."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from services.runtime import Clock

T = TypeVar("T")


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Sees `work` through to its end even when the caller is cancelled (a client left); only then is the caller.

    A commit that is cut off between the store's answer and memory's update would leave memory behind the store.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:
            break  # told below
    if cancelled is not None:
        task.exception()  # seen: the caller is gone, and the next one reads what is stored
        raise cancelled
    return task.result()


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
