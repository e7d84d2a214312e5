"""ZooKeeper, as seen through `services.membership.connection`: nodes, sessions that expire, watches, transactions.

What it promises is what ZooKeeper promises: one order of all writes, a session ends when its timeout has passed since
the leader last heard of it (which may be a while before it last answered), watches tell once.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from services.config import ZooKeeper
from services.membership.connection import Link, Missing, Unreachable
from tests.simulation.loop import LIFE, Life
from tests.simulation.network import Network

T = TypeVar("T")

HOST: Final = "zookeeper"
HEARD_EARLIER: Final = 0.35  # of the session timeout: a heartbeat and half a tick
PINGS: Final = 3  # in a session timeout


class Session:
    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.expired = False
        self.deadline = 0.0
        self.nodes: set[str] = set()
        self.watches: dict[str, Callable[[], None]] = {}


class SimulatedZooKeeper:
    """The ensemble, as one."""

    def __init__(self, network: Network) -> None:
        self._network, self._world = network, network.world
        self._nodes: dict[str, Session | None] = {}
        self._sessions: dict[Session, None] = {}

    def connect(self, session: Session | None, timeout_s: float) -> Session:
        """The same session if it lives still, else a new one."""
        if session is None or session.expired:
            session = Session(timeout_s)
            self._sessions[session] = None
            self._expire(session)
        self.hear(session)
        return session

    def hear(self, session: Session) -> None:
        """Raises Expired."""
        if session.expired:
            raise Expired
        earlier = HEARD_EARLIER * self._world.random.random()
        session.deadline = max(session.deadline, self._world.loop.time() + session.timeout_s * (1 - earlier))

    def _expire(self, session: Session) -> None:
        left_s = session.deadline - self._world.loop.time()
        if session.deadline and left_s <= 0:
            self.end(session)
        else:
            self._world.later(max(left_s, 0.01), self._expire, session)

    def end(self, session: Session) -> None:
        if not session.expired:
            session.expired = True
            del self._sessions[session]
            self._world.trace.note(HOST, f"session over: {sorted(session.nodes)}")
            for path in sorted(session.nodes):
                self._delete(path)

    # What clients ask, each at once.

    def ensure(self, path: str) -> None:
        self._nodes.setdefault(path, None)

    def children(self, session: Session, path: str, on_change: Callable[[], None]) -> list[str]:
        if path not in self._nodes:
            raise Missing(path)
        session.watches[path] = on_change
        return sorted(name.removeprefix(f"{path}/") for name in self._nodes if name.startswith(f"{path}/"))

    def commit(self, session: Session, check: Sequence[str], delete: Sequence[str], create: Sequence[str]) -> bool:
        if any(path not in self._nodes for path in (*check, *delete)):
            return False
        if any(path in self._nodes and path not in delete for path in create):
            return False
        for path in delete:
            self._delete(path)
        for path in create:
            self._nodes[path] = session
            session.nodes.add(path)
            self._world.trace.note(HOST, f"create {path}")
            self._tell(path)
        return True

    def _delete(self, path: str) -> None:
        owner = self._nodes.pop(path)
        self._world.trace.note(HOST, f"delete {path}")
        if owner is not None:
            owner.nodes.discard(path)
        self._tell(path)

    def _tell(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        for session in [*self._sessions]:
            watch = session.watches.pop(parent, None)
            if watch is not None:
                watch()


class Expired(Exception):
    """The session is over."""


class SimulatedConnection:
    """Stands for `services.membership.connection.Connection`."""

    def __init__(self, zookeeper: SimulatedZooKeeper, network: Network, section: ZooKeeper, on_link: Any) -> None:
        self._zookeeper, self._network, self._world = zookeeper, network, network.world
        self._on_link: Callable[[Link], None] = on_link
        self._life: Life = LIFE.get()
        self._session: Session | None = None
        self._link: asyncio.Future[None] | None = None  # while it is up; done when it breaks
        self.session_s = section.session_timeout.total_seconds()
        self.dead, self.trouble = False, ""

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    def revive(self) -> None:
        """It never gives up."""

    async def close(self) -> None:
        self._task.cancel()
        session = self._session
        if session is not None:
            with suppress(Unreachable, Expired):
                await self._ask(lambda: self._zookeeper.end(session), self.session_s)

    async def _keep(self) -> None:
        loop = self._world.loop
        while True:
            known = self._session
            try:
                self._session = await self._ask(
                    partial(self._zookeeper.connect, known, self.session_s), self.session_s / 3
                )
            except Unreachable:
                await asyncio.sleep(0.1)
                continue
            if known is not None and known is not self._session:
                self._on_link(Link.LOST)
            self._link = loop.create_future()
            self._on_link(Link.CONNECTED)
            with suppress(Unreachable, Expired):
                while True:
                    await asyncio.wait([self._link], timeout=self.session_s / PINGS)
                    await self._ask(self._heard, self.session_s / PINGS)
            self._link.cancel()
            self._link = None
            self._on_link(Link.SUSPENDED)

    def _heard(self) -> None:
        assert self._session is not None
        self._zookeeper.hear(self._session)

    async def _ask(self, act: Callable[[], T], patience_s: float) -> T:
        """`act` happens there, once, if the request arrives; Unreachable when no answer came back."""
        world, reply = self._world, self._world.loop.create_future()

        def arrive() -> None:
            try:
                found, failure = act(), None
            except (Expired, Missing) as error:
                found, failure = None, error
            self._network.carry(HOST, self._life.name, lambda: answer(found, failure), lambda: None)

        def answer(found: Any, failure: Exception | None) -> None:
            if reply.done():
                return
            if failure is not None:
                reply.set_exception(failure)
            else:
                reply.set_result(found)

        if world.happens(world.weather.lost):
            raise Unreachable("lost")
        self._network.carry(self._life.name, HOST, arrive, lambda: None)
        try:
            async with asyncio.timeout(patience_s):
                result: T = await reply
                return result
        except TimeoutError:
            raise Unreachable("no answer") from None

    async def _in_session(self, act: Callable[[Session], T]) -> T:
        session, link = self._session, self._link
        if session is None or link is None:
            raise Unreachable("not connected")

        def in_session() -> T:
            self._zookeeper.hear(session)
            return act(session)

        try:
            return await self._ask(in_session, self.session_s * 2 / 3)
        except (Unreachable, Expired) as error:
            if not link.done():
                link.set_result(None)
            raise Unreachable(repr(error)) from error

    async def ensure(self, path: str) -> None:
        await self._in_session(lambda _session: self._zookeeper.ensure(path))

    async def children(self, path: str, on_change: Callable[[], None]) -> list[str]:
        link = self._link

        def tell() -> None:
            self._network.carry(HOST, self._life.name, post, lambda: None)

        def post() -> None:
            if link is self._link and not self._life.ended:
                self._world.loop.call_soon(on_change, context=self._life.context())

        return await self._in_session(lambda session: self._zookeeper.children(session, path, tell))

    async def commit(
        self, *, check: Sequence[str] = (), delete: Sequence[str] = (), create: Sequence[str] = ()
    ) -> bool:
        return await self._in_session(lambda session: self._zookeeper.commit(session, check, delete, create))
