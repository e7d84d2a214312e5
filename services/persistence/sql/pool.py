"""Connections to a database server: as many as allowed, opened when needed, replaced when they are old or broken.

What runs on a connection goes on to its end, whether or not its caller still waits: a deadline that passes must not
leave a connection in the middle of an answer, nor a write half sent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from services.config import SQL
from services.persistence.interface import StoreError

C = TypeVar("C")
T = TypeVar("T")

CONNECTIONS_MAX = 20  # when the configuration does not say


class Driver(Protocol[C]):
    """How to open and close connections to one database."""

    async def connect(self) -> C:
        """Raises StoreUnavailable or StoreError."""
        ...

    def is_usable(self, connection: C) -> bool:
        """False once it is known to be broken."""
        ...

    async def close(self, connection: C) -> None:
        """Never raises, also for one that is broken."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`lifetime_s` 0: for ever. `idle_max`: more than so many are closed when nobody waits for them."""

    connections_max: int = CONNECTIONS_MAX
    idle_max: int = CONNECTIONS_MAX
    lifetime_s: float = 0.0

    @classmethod
    def of(cls, config: SQL) -> "Limits":
        connections_max = config.max_conns or CONNECTIONS_MAX
        return cls(
            connections_max=connections_max,
            idle_max=config.max_idle_conns or connections_max,
            lifetime_s=config.max_conn_lifetime.total_seconds(),
        )


class Pool(Generic[C]):
    """Runs jobs on connections, one at a time on each; first come, first served."""

    def __init__(self, driver: Driver[C], limits: Limits) -> None:
        self._driver = driver
        self._limits = limits
        self._opened = 0  # connections that are idle, in use, or on their way
        self._idle: list[C] = []  # the last one used is used next, so that the others may rest
        self._born_s: dict[C, float] = {}
        self._waiters: deque[asyncio.Future[C | None]] = deque()  # None: there is room for a new one
        self._accepted = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._all_done = asyncio.Event()

    async def run(self, job: Callable[[C], Coroutine[Any, Any, T]]) -> T:
        """What `job` returns. Raises StoreError when closed, what connecting raises, and what `job` raises."""
        if self._closed:
            raise StoreError("the store is closed")
        self._accepted += 1
        try:
            connection = await self._take()
        except BaseException:
            self._done()
            raise
        task = asyncio.create_task(self._use(connection, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Lets what was accepted finish, then closes all connections."""
        self._closed = True
        if self._accepted:
            await self._all_done.wait()
        idle, self._idle = self._idle, []
        closings = [self._driver.close(connection) for connection in idle]
        await asyncio.gather(*closings, *self._tasks, return_exceptions=True)  # jobs tell their own callers

    async def _use(self, connection: C, job: Callable[[C], Awaitable[T]]) -> T:
        try:
            return await job(connection)
        finally:
            self._release(connection)
            self._done()

    def _done(self) -> None:
        self._accepted -= 1
        if self._closed and not self._accepted:
            self._all_done.set()

    async def _take(self) -> C:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if self._is_good(connection):
                    return connection
                self._drop(connection)
            if self._opened < self._limits.connections_max:
                return await self._open()
            waiter: asyncio.Future[C | None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                given = await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():  # it was given one in the moment in which it went away
                    self._pass_on(waiter.result())
                raise
            if given is not None:
                return given

    async def _open(self) -> C:
        self._opened += 1
        try:
            connection = await self._driver.connect()
        except BaseException:
            self._opened -= 1
            self._pass_on(None)
            raise
        if self._limits.lifetime_s:
            self._born_s[connection] = asyncio.get_running_loop().time()
        return connection

    def _is_good(self, connection: C) -> bool:
        if not self._driver.is_usable(connection):
            return False
        lifetime_s = self._limits.lifetime_s
        return not lifetime_s or asyncio.get_running_loop().time() < self._born_s[connection] + lifetime_s

    def _release(self, connection: C) -> None:
        if self._is_good(connection):
            self._pass_on(connection)
        else:
            self._drop(connection)
            self._pass_on(None)

    def _pass_on(self, given: C | None) -> None:
        """Hands a connection, or the room for one, to whoever waits longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(given)
                return
        if given is None:
            return
        if len(self._idle) < self._limits.idle_max:
            self._idle.append(given)
        else:
            self._drop(given)

    def _drop(self, connection: C) -> None:
        self._opened -= 1
        self._born_s.pop(connection, None)
        closing = asyncio.create_task(self._driver.close(connection))
        self._tasks.add(closing)
        closing.add_done_callback(self._tasks.discard)
