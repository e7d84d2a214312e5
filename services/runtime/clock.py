"""Time: the wall clock that events carry, the monotonic clock that waits use, and timers on the event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class TimerHandle(Protocol):
    """A call that is due later and can be taken back."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """All that the services know of time. Wall-clock times are nanoseconds since the epoch."""

    def now_ns(self) -> int:
        """The wall clock. It never runs backwards within one process."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that only measures distances; deadlines of calls are on it."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Calls back on the event loop after `delay_s` seconds."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        self._last_ns = max(time.time_ns(), self._last_ns)
        return self._last_ns

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
