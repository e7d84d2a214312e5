"""What a host stands on, replaced: clocks, chance, gRPC, ZooKeeper's connection and the database, told apart by life.

`install` changes this process for good: a simulation has a process to itself.
"""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

import grpc
import structlog

from services.history import HistoryService
from services.host import host
from services.host.assembly import Assembly, Floor
from services.membership import zookeeper as membership
from services.persistence import Store
from services.rpc.server.server import Server
from services.runtime import TimerHandle
from tests.simulation.database import DatabaseClient
from tests.simulation.loop import LIFE, Life, VirtualLoop
from tests.simulation.memory import Memory
from tests.simulation.network import Network, SimulatedChannel, SimulatedServer
from tests.simulation.world import EPOCH_NS, World
from tests.simulation.zookeeper import SimulatedConnection, SimulatedZooKeeper

DRAIN_CUT_SHORT: Final = "The drain did not end in time"  # of a host that was cut off, or whose peer was gone


class HostClock:
    """A host's clock: it runs a little fast or slow, from a start of its own."""

    def __init__(self, loop: VirtualLoop, speed: float, offset_s: float) -> None:
        self._loop, self._speed = loop, speed
        self._offset_s = offset_s

    def now_ns(self) -> int:
        return EPOCH_NS + int((self._loop.time() * self._speed + self._offset_s) * 1e9)

    def monotonic(self) -> float:
        return self._loop.time() * self._speed

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        return self._loop.call_later(delay_s / self._speed, callback)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s / self._speed)


class HostChance:
    """A host's random numbers. Run ids sort by its clock."""

    def __init__(self, random: Random, clock: HostClock) -> None:
        self._random, self._clock = random, clock

    def random(self) -> float:
        return self._random.random()

    def run_id(self) -> str:
        value = (self._clock.now_ns() // 1_000_000) << 80 | self._random.getrandbits(80)
        return str(UUID(int=value & ~(0xF << 76 | 3 << 62) | 7 << 76 | 2 << 62))

    def unique_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


class Equipment:
    """What one life of a host finds."""

    def __init__(self, world: World, memory: Memory, life: Life, clock: HostClock) -> None:
        self.clock = clock
        self.chance = HostChance(Random(world.random.getrandbits(64)), self.clock)
        self.assembly: Assembly | None = None
        self.store: Store = DatabaseClient.store(world, memory, life)


class Machine:
    """Gives every life its equipment."""

    def __init__(self, world: World, memory: Memory) -> None:
        self.world, self.memory = world, memory
        self.network = Network(world)
        self.zookeeper = SimulatedZooKeeper(self.network)
        self._equipment: dict[Life, Equipment] = {}

    def equip(self, life: Life, clock: HostClock) -> Equipment:
        equipment = self._equipment[life] = Equipment(self.world, self.memory, life, clock)
        return equipment

    def here(self) -> Equipment:
        return self._equipment[LIFE.get()]

    def histories(self) -> list[HistoryService]:
        """Those that live."""
        found = [each.assembly.history for life, each in self._equipment.items() if each.assembly and not life.ended]
        return [history for history in found if history is not None]

    def install(self) -> None:
        network, zookeeper = self.network, self.zookeeper

        async def open_store(_config: object) -> Store:
            return self.here().store

        def connection(section: Any, on_link: Any) -> SimulatedConnection:
            return SimulatedConnection(zookeeper, network, section, on_link)

        def listen(server: Any, name: str, port: int, _credentials: object = None) -> int:
            network.listen(f"{name}:{port}", server._server)
            return port

        def assemble(floor: Floor, ports: Any) -> Assembly:
            assembly = self.here().assembly = Assembly(floor, ports)
            return assembly

        replacements: list[tuple[Any, str, Any]] = [
            (host, "SystemClock", lambda: self.here().clock),
            (host, "SystemChance", lambda: self.here().chance),
            (host, "open_store", open_store),
            (host, "Assembly", assemble),
            (host, "gc", SimpleNamespace(collect=_nothing, freeze=_nothing, set_threshold=_nothing)),
            (membership, "Connection", connection),
            (grpc.aio, "server", lambda **_options: SimulatedServer(LIFE.get())),
            (grpc.aio, "insecure_channel", lambda address, **_options: SimulatedChannel(network, address)),
            (Server, "listen", listen),
        ]
        for owner, name, replacement in replacements:
            assert hasattr(owner, name), f"{owner} has no {name} any more"
            setattr(owner, name, replacement)
        self._listen_to_logs()

    def _listen_to_logs(self) -> None:
        """Every line goes to the trace; an error, or a task that failed unseen, is a violation."""
        world = self.world

        def say(level: int, text: str, error: object) -> None:
            world.trace.note(LIFE.get(world.life), f"{logging.getLevelName(level).lower()}: {text}{_shown(error)}")
            if level >= logging.ERROR and not _is_weather(error) and not text.endswith(DRAIN_CUT_SHORT):
                world.violated(f"an error was logged: {text}{_shown(error)}")

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                say(record.levelno, record.getMessage(), record.exc_info[1] if record.exc_info else None)

        def structured(_logger: object, method: str, event: Any) -> Any:
            level = {"exception": logging.ERROR, "warning": logging.WARNING}.get(method)
            error = event.pop("exc_info", None)
            said = " ".join(f"{key}={value}" for key, value in event.items())
            say(level or logging.getLevelNamesMapping()[method.upper()], said, error)
            raise structlog.DropEvent

        logging.getLogger().handlers[:] = [Handler()]
        logging.getLogger().setLevel(logging.INFO)
        structlog.configure(processors=[structured], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
        self.world.loop.set_exception_handler(
            lambda _loop, context: say(logging.ERROR, context["message"], context.get("exception"))
        )


def _nothing(*_args: object) -> None:
    """What the interpreter's collector is told does not matter here."""


def _shown(error: object) -> str:
    return "" if error is None else f" ({error!r})"


def _is_weather(error: object) -> bool:
    """What the database was made to answer may be logged as an error."""
    from services.persistence import StoreError, UnknownOutcome

    return isinstance(error, StoreError | UnknownOutcome)
