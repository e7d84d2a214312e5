"""Membership of a cluster: the members are ephemeral nodes in ZooKeeper, the rings follow them.

One task does everything that waits for ZooKeeper, in one order: read what changed, write what is wanted, prove that
the session lives. Whatever happens in between only marks what has to be read and wakes the task.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from services.config import SERVICE_NAMES, ServiceName, ZooKeeper
from services.membership.connection import Connection, Link, Missing, Refused, Unreachable
from services.membership.entries import Entry, Plan, life, parse, plan, ring_of
from services.membership.lease import HEARTBEAT, LEASE, Lease
from services.membership.ring import MemberState, Ring
from services.runtime import Chance, Clock
from services.telemetry import get_logger

RETRY_S = 0.2  # before the next attempt when ZooKeeper says no
LOOK_S = 1.0  # between looks whether the connection is there
LOG_S_MAX = 60.0  # the longest silence between two lines that say that it is not

_log = get_logger("membership")


class MembershipClosed(Exception):
    """This host has left, and what was waited for will not happen."""


@dataclass(slots=True)
class _Place:
    """What this host wants to be in one service; `listed` once ZooKeeper has it so in this session."""

    entry: Entry
    listed: bool = False


class ZooKeeperMembership:
    """`Membership` over ZooKeeper. Of two processes with one address the one that was born later has it."""

    def __init__(self, section: ZooKeeper, clock: Clock, chance: Chance) -> None:
        """Raises ConfigError when the certificates of `section` cannot be used."""
        self._clock = clock
        self._root = section.root
        self._hosts = section.hosts
        self._life = life(clock.now_ns() // 1_000_000, chance.unique_id())
        self._connection = Connection(section, self._linked)
        self._lease = Lease(clock)
        self._entries: dict[ServiceName, tuple[Entry, ...]] = {}
        self._rings = dict.fromkeys(SERVICE_NAMES, Ring())
        self._listeners: dict[ServiceName, list[Callable[[Ring], None]]] = {name: [] for name in SERVICE_NAMES}
        self._places: dict[ServiceName, _Place] = {}
        self._rivals: dict[ServiceName, Entry] = {}
        self._outdated: set[ServiceName] = set(SERVICE_NAMES)
        self._viewed = asyncio.Event()
        self._connected = asyncio.Event()
        self._wake = asyncio.Event()
        self._wishes: list[asyncio.Future[None]] = []
        self._session = 0  # counts sessions, so that what was learnt in an earlier one is told from the present
        self._started = 0
        self._heartbeat_at = 0.0
        self._proven = False  # the lease was begun with the registrations that there are
        self._task: asyncio.Task[None] | None = None

    def ring(self, service: ServiceName) -> Ring:
        return self._rings[service]

    def watch(self, service: ServiceName, listener: Callable[[Ring], None]) -> Callable[[], None]:
        listeners = self._listeners[service]
        listeners.append(listener)
        return lambda: listeners.remove(listener) if listener in listeners else None

    @property
    def authority(self) -> bool:
        return self._lease.held

    def watch_authority(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        return self._lease.watch(listener)

    async def start(self) -> None:
        self._connection.start()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_report)
        await self._viewed.wait()

    async def join(self, service: ServiceName, address: str) -> None:
        entry = Entry(address, MemberState.JOINING, self._next_started(), self._life)
        self._places[service] = _Place(entry)
        await self._wish()

    async def activate(self, service: ServiceName) -> None:
        await self._become(service, MemberState.ACTIVE)

    async def drain(self, service: ServiceName) -> None:
        await self._become(service, MemberState.DRAINING)

    async def leave(self, service: ServiceName) -> None:
        self._places.pop(service, None)
        await self._wish()

    async def close(self) -> None:
        self._lease.lose()
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        for wish in self._wishes:
            if not wish.done():
                wish.set_exception(MembershipClosed())
        self._wishes.clear()
        await self._connection.close()

    # What is wanted

    async def _become(self, service: ServiceName, state: MemberState) -> None:
        place = self._places[service]
        old = place.entry
        place.entry = Entry(old.address, state, old.started, old.life)
        await self._wish()

    async def _wish(self) -> None:
        """Wakes the task and waits until all that is wanted by now has been written and read back."""
        if self._task is None:
            raise MembershipClosed
        wish = asyncio.get_running_loop().create_future()
        self._wishes.append(wish)
        self._wake.set()
        await wish

    def _next_started(self) -> int:
        self._started = max(self._started + 1, self._clock.now_ns() // 1_000_000)
        return self._started

    def _register_anew(self) -> None:
        """What is listed was listed by a session, or under a lease, that is over: it does not count any more."""
        self._proven = False
        for place in self._places.values():
            old = place.entry
            place.entry = Entry(old.address, old.state, self._next_started(), old.life)
            place.listed = False

    # What the connection and the watches say

    def _linked(self, link: Link) -> None:
        if link is Link.CONNECTED:
            _log.info("Connected to ZooKeeper", session_s=self._connection.session_s)
            self._connected.set()
        else:
            self._connected.clear()
            _log.warning("ZooKeeper session lost" if link is Link.LOST else "Cut off from ZooKeeper")
        if link is Link.LOST:
            self._session += 1
            self._lease.lose()
            self._register_anew()
        self._outdated.update(SERVICE_NAMES)
        self._wake.set()

    def _changed(self, service: ServiceName) -> None:
        self._outdated.add(service)
        self._wake.set()

    # The task

    async def _run(self) -> None:
        refusal_s = LOOK_S
        while True:
            await self._wait_for_connection()
            try:
                await self._follow()
            except Unreachable as error:
                _log.info("A call to ZooKeeper ended without an answer", reason=str(error))
            except Missing as error:
                _log.warning("A node is missing in ZooKeeper and is made anew", node=str(error))
                await self._clock.sleep(RETRY_S)
            except Refused as error:
                _log.error("ZooKeeper refuses", reason=str(error), root=self._root)
                await self._clock.sleep(refusal_s)
                refusal_s = min(2 * refusal_s, LOG_S_MAX)

    async def _wait_for_connection(self) -> None:
        """Kazoo tries again and again; we say that it does, less and less often, and start it anew if it gave up."""
        waited_s, log_at_s, dead = 0.0, LOOK_S, False
        while not self._connected.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._connected.wait()
                    return
            waited_s += LOOK_S
            if waited_s >= log_at_s:
                trouble = self._connection.trouble
                _log.warning("ZooKeeper cannot be reached", hosts=self._hosts, waited_s=waited_s, reason=trouble)
                log_at_s += min(log_at_s, LOG_S_MAX)
            if dead and self._connection.dead:
                self._connection.revive()
            dead = self._connection.dead

    async def _follow(self) -> None:
        """Keeps the rings, the registrations and the lease true for as long as ZooKeeper answers."""
        self._outdated.update(SERVICE_NAMES)
        for service in SERVICE_NAMES:
            await self._connection.ensure(self._path(service))
        while True:
            self._wake.clear()
            await self._read()
            wishes = tuple(self._wishes)
            if await self._write():
                continue
            await self._prove()
            self._fulfil(wishes)
            await self._pause()

    def _path(self, service: ServiceName, entry: Entry | None = None) -> str:
        parent = f"{self._root}/members/{service}"
        return parent if entry is None else f"{parent}/{entry.name}"

    async def _read(self) -> None:
        """Reads the members of the services where something may have changed."""
        while self._outdated:
            service = self._outdated.pop()
            try:
                names = await self._connection.children(self._path(service), partial(self._changed, service))
            except BaseException:
                self._outdated.add(service)
                raise
            self._entries[service] = tuple(entry for name in names if (entry := parse(name)) is not None)
            self._show(service, ring_of(service, self._entries[service]))
        self._viewed.set()

    def _show(self, service: ServiceName, ring: Ring) -> None:
        if ring == self._rings[service]:
            return
        self._rings[service] = ring
        _log.info("Members changed", service=service, members=repr(ring))
        for listener in tuple(self._listeners[service]):
            try:
                listener(ring)
            except Exception:
                _log.exception("A listener of the ring failed", service=service)

    async def _write(self) -> bool:
        """Brings what is listed to what is wanted. True when it wrote: then what it wrote has to be read."""
        if self._proven and not self._lease.held:
            self._register_anew()
        plans = self._plans()
        delete = [self._path(service, entry) for service, plan in plans.items() for entry in plan.delete]
        create = [self._path(service, plan.create) for service, plan in plans.items() if plan.create]
        if not delete and not create:
            return False
        try:
            if not await self._connection.commit(delete=delete, create=create):
                await self._clock.sleep(RETRY_S)  # somebody else changed the same; what they did is read first
        finally:
            self._outdated.update(plans)
        return True

    def _plans(self) -> Mapping[ServiceName, Plan]:
        """What to write in each service; notes what is listed by now, and what was and is not any more."""
        plans: dict[ServiceName, Plan] = {}
        for service in SERVICE_NAMES:
            place, present = self._places.get(service), self._entries[service]
            if (
                place
                and place.listed
                and place.entry.started not in {e.started for e in present if e.life == self._life}
            ):
                _log.warning("This host was taken off the list", service=service)
                self._lease.lose()
                self._register_anew()
            step = plan(present, place.entry if place else None, self._life)
            self._note_rival(service, step.rival)
            if place:
                place.listed = place.entry in present and not step.rival
            if step.delete or step.create:
                plans[service] = step
        return plans

    def _note_rival(self, service: ServiceName, rival: Entry | None) -> None:
        if rival is None:
            self._rivals.pop(service, None)
            return
        self._lease.lose()
        known = self._rivals.get(service)
        if known is None or known.life != rival.life:
            _log.error("Another process has this host's address; this one stays out", service=service, entry=rival.name)
        self._rivals[service] = rival

    async def _prove(self) -> None:
        """A write that ZooKeeper takes only while every registration stands: the lease counts from before it."""
        if not self._places:
            self._lease.lose()
        sent = self._clock.monotonic()
        if self._lease.held and sent < self._heartbeat_at:
            return
        length_s = LEASE * self._connection.session_s
        self._heartbeat_at = sent + HEARTBEAT * self._connection.session_s
        if not self._places or not all(place.listed for place in self._places.values()):
            return
        session, places = self._session, [self._path(name, place.entry) for name, place in self._places.items()]
        stands = await self._connection.commit(check=places)
        if session != self._session:
            return
        if not stands:
            self._lease.lose()
            self._outdated.update(SERVICE_NAMES)
            self._wake.set()
        elif self._proven:
            self._lease.renew(sent, length_s)
        else:
            self._lease.begin(sent, length_s)
            self._proven = self._lease.held

    def _fulfil(self, wishes: tuple["asyncio.Future[None]", ...]) -> None:
        """Answers those who wait, when all that is wanted is so."""
        if self._rivals or not all(place.listed for place in self._places.values()):
            return
        for wish in wishes:
            self._wishes.remove(wish)
            if not wish.done():
                wish.set_result(None)

    async def _pause(self) -> None:
        """Until there is something to do; a heartbeat is something to do."""
        with suppress(TimeoutError):
            async with asyncio.timeout(
                max(0.0, self._heartbeat_at - self._clock.monotonic()) if self._places else None
            ):
                await self._wake.wait()


def _report(task: "asyncio.Task[None]") -> None:
    """The task ends by `close` alone; whatever else ends it is a bug that must not stay silent."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("Membership has failed; this host will lose its authority", exc_info=task.exception())
