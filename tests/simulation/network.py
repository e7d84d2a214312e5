"""The network below gRPC's channels and servers: messages take time, get lost, come twice, and links are cut.

A cut holds messages back, as TCP does, until it heals or the connection is given up. A call whose connection broke
ends with UNAVAILABLE, whether it was done or not; one to a host that is not there never left, and says so.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

import grpc

from services.rpc import HISTORY, HISTORY_SERVICE, MATCHING, MATCHING_SERVICE
from services.rpc.network import NOT_SENT
from tests.simulation.loop import LIFE, Life
from tests.simulation.world import World

KEEPALIVE_S: Final = 15.0  # so long a link may be cut before its connections are given up
HELD_S: Final = 0.1  # between looks whether a cut link has healed
BROKEN: Final = "Socket closed"
REPEATABLE: Final = frozenset(
    wire.path(service)
    for table, service in ((HISTORY, HISTORY_SERVICE), (MATCHING, MATCHING_SERVICE))
    for wire in table.values()
    if wire.repeatable
)
Metadata = Sequence[tuple[str, Any]]


class Network:
    """Who listens where, and which links are cut: one way, by host."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cut: set[tuple[str, str]] = set()
        self._servers: dict[str, SimulatedServer] = {}
        self._numbers = 0

    def is_open(self, source: str, target: str) -> bool:
        return (source, target) not in self.cut

    def listen(self, address: str, server: "SimulatedServer") -> None:
        server.life = LIFE.get()
        self._servers[address] = server

    def end(self, life: Life) -> None:
        """The host is gone: its callers find their connections closed."""
        for address, server in [*self._servers.items()]:
            if server.life is life:
                del self._servers[address]
                for call in [*server.calls]:
                    self.world.later(self.world.delay_s(), call.fail, grpc.StatusCode.UNAVAILABLE, BROKEN)

    def server(self, address: str) -> "SimulatedServer | None":
        server = self._servers.get(address)
        return server if server is not None and server.started else None

    def carry(self, source: str, target: str, arrive: Callable[[], object], give_up: Callable[[], None]) -> None:
        """One message: it arrives, or after a long cut it is given up."""
        self._hold(source, target, arrive, give_up, self.world.loop.time() + KEEPALIVE_S, self.world.delay_s())

    def _hold(
        self,
        source: str,
        target: str,
        arrive: Callable[[], object],
        give_up: Callable[[], None],
        until: float,
        delay_s: float,
    ) -> None:
        def look() -> None:
            if self.is_open(source, target):
                arrive()
            elif self.world.loop.time() >= until:
                give_up()
            else:
                self._hold(source, target, arrive, give_up, until, HELD_S)

        self.world.later(delay_s, look)

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers


def error(code: grpc.StatusCode, details: str, trailers: Metadata = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details)


class SimulatedCall:
    """One call from both ends. `reply` is the caller's, `work` the server's."""

    def __init__(self, network: Network, address: str, path: str, payload: bytes, metadata: Metadata) -> None:
        self._network, self._world = network, network.world
        self.address, self.path, self.payload, self.metadata = address, path, payload, metadata
        self.source = LIFE.get()
        self.target = address.partition(":")[0]
        self.name = f"{network.next_number()} {path.rpartition('/')[2]}"
        self.reply: asyncio.Future[bytes] = self._world.loop.create_future()
        self.until = float("inf")
        self._works: list[asyncio.Task[None]] = []
        self._loses_reply = False

    def send(self) -> None:
        world, weather = self._world, self._world.weather
        world.trace.note(self.source, f"-> {self.address} {self.name}")
        if world.happens(weather.lost):
            world.later(world.delay_s(), self.fail, grpc.StatusCode.UNAVAILABLE, BROKEN)
            return
        self._loses_reply = world.happens(weather.lost)
        self._carry(self._arrive, self._unreachable)
        if self.path in REPEATABLE and world.happens(weather.doubled):
            world.later(world.random.uniform(0, 2), self._carry, self._arrive_again, lambda: None)

    def _carry(self, arrive: Callable[[], object], give_up: Callable[[], None]) -> None:
        self._network.carry(self.source.name, self.target, arrive, give_up)

    def fail(self, code: grpc.StatusCode, details: str, trailers: Metadata = ()) -> None:
        if not self.reply.done():
            self._world.trace.note(self.source, f"<- {self.name}: {code.name} {details}")
            self.reply.set_exception(error(code, details, trailers))

    def _unreachable(self) -> None:
        self.fail(grpc.StatusCode.UNAVAILABLE, f"{NOT_SENT}: timed out")

    def _arrive(self) -> None:
        server = self._network.server(self.address)
        if server is None:
            self._network.carry(
                self.target,
                self.source.name,
                lambda: self.fail(grpc.StatusCode.UNAVAILABLE, f"{NOT_SENT}: connection refused"),
                self._unreachable,
            )
        else:
            server.calls[self] = None
            work = self._serve(server, self._answer)
            if self.reply.done():  # cancelled, or its time was over: the server hears of that a little later
                self._world.later(self._world.delay_s(), work.cancel)

    def _arrive_again(self) -> None:
        server = self._network.server(self.address)
        if server is not None:
            self._world.trace.note(server.life, f"again {self.name}")
            self._serve(server, lambda _answer: None)

    def _serve(self, server: "SimulatedServer", answer: Callable[["Answer"], None]) -> "asyncio.Task[None]":
        handler = server.handler(self.path)

        async def serve() -> None:
            try:
                found = Answer(await handler.unary_unary(self.payload, SimulatedContext(self, self._world)))
            except Aborted as aborted:
                found = aborted.answer
            finally:
                server.calls.pop(self, None)
            answer(found)

        work = self._world.loop.spawn(server.life, serve())
        self._works.append(work)
        if self.until < float("inf"):
            self._world.later(max(0.0, self.until - self._world.loop.time()), work.cancel)
        return work

    def _answer(self, found: "Answer") -> None:
        """On its way back, unless the connection breaks."""
        if self._loses_reply:
            found = Answer(b"", grpc.StatusCode.UNAVAILABLE, BROKEN)

        def arrive() -> None:
            if found.code is not None:
                self.fail(found.code, found.details, found.trailers)
            elif not self.reply.done():
                self._world.trace.note(self.source, f"<- {self.name}: {len(found.payload)} bytes")
                self.reply.set_result(found.payload)

        self._network.carry(
            self.target, self.source.name, arrive, lambda: self.fail(grpc.StatusCode.UNAVAILABLE, BROKEN)
        )

    def cancel(self) -> None:
        """The caller does not wait any more, or its time is over: the server is told to stop."""
        if self._works and not self._works[0].done():
            self._carry(self._works[0].cancel, lambda: None)


class Answer:
    """What a server answered: bytes, or a status."""

    def __init__(
        self, payload: bytes, code: grpc.StatusCode | None = None, details: str = "", trailers: Metadata = ()
    ) -> None:
        self.payload, self.code, self.details, self.trailers = payload, code, details, trailers


class Aborted(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.details)
        self.answer = answer


class SimulatedContext:
    """As much of grpc.aio.ServicerContext as Perdure's server uses."""

    def __init__(self, call: SimulatedCall, world: World) -> None:
        self._call, self._world = call, world

    def time_remaining(self) -> float | None:
        left = self._call.until - self._world.loop.time()
        return None if left == float("inf") else left

    def invocation_metadata(self) -> Metadata:
        return self._call.metadata

    async def abort(self, code: grpc.StatusCode, details: str = "", trailers: Metadata = ()) -> None:
        raise Aborted(Answer(b"", code, details, trailers))


class SimulatedServer:
    """As much of grpc.aio.Server as Perdure's server uses. Its life is that of the host that listens."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.started = False
        self.calls: dict[SimulatedCall, None] = {}
        self._handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._handlers.extend(handlers)

    def handler(self, path: str) -> Any:
        return self._handlers[0].service(SimpleNamespace(method=path))

    async def start(self) -> None:
        self.started = True

    async def stop(self, grace: float | None) -> None:
        self.started = False


class SimulatedChannel:
    """As much of grpc.aio.Channel as Perdure's network uses."""

    def __init__(self, network: Network, address: str) -> None:
        self._network, self._address = network, address

    def unary_unary(self, path: str) -> Any:
        network, world = self._network, self._network.world

        async def call(payload: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> bytes:
            calling = SimulatedCall(network, self._address, path, payload, metadata)
            alarm = None
            if timeout is not None:
                calling.until = world.loop.time() + timeout
                exceeded = grpc.StatusCode.DEADLINE_EXCEEDED
                alarm = world.loop.call_later(timeout, calling.fail, exceeded, "Deadline Exceeded")
            calling.send()
            try:
                return await calling.reply
            finally:
                if alarm is not None:
                    alarm.cancel()
                calling.cancel()

        return call

    async def close(self, grace: float | None = None) -> None:
        """Calls under way end by themselves."""
