"""The hosts of a simulated cluster: each runs `services.host` as a process would, crashes, freezes and comes back."""

import asyncio
import signal
from typing import Final

from services.config import RPC, SQL, DataStore, Persistence, ServerConfig, ServiceName, ZooKeeper
from services.config.static import Bootstrap, Global, Membership, Service
from services.host.host import _serve
from tests.simulation.loop import Life
from tests.simulation.machine import HostClock, Machine
from tests.simulation.memory import Memory
from tests.simulation.world import World
from tests.simulation.zookeeper import HOST as ZOOKEEPER

SHARDS: Final = 8
PORTS: Final[dict[ServiceName, int]] = {"frontend": 7233, "history": 7234, "matching": 7235}
HOSTS: Final[dict[str, tuple[ServiceName, ...]]] = {
    "frontend-1": ("frontend",),
    "frontend-2": ("frontend",),
    "history-1": ("history",),
    "history-2": ("history",),
    "history-3": ("history",),
    "matching-1": ("matching",),
    "matching-2": ("matching",),
}
DOWN_S: Final = (0.2, 15.0)  # before a host that is gone is started again
CUT_S: Final = (0.2, 20.0)
OFFSET_S_MAX: Final = 2.0  # between wall clocks
OUTAGE_S: Final = (0.2, 15.0)
FROZEN_S: Final = (0.1, 12.0)


class Host:
    """A machine on which one process runs, life after life."""

    def __init__(self, machine: Machine, name: str, services: tuple[ServiceName, ...]) -> None:
        self.name, self._machine, self._world = name, machine, machine.world
        self._config = _config(name, services)
        skew = self._world.weather.skew
        speed, offset_s = 1 + self._world.random.uniform(-skew, skew), self._world.random.uniform(0, OFFSET_S_MAX)
        self._clock = HostClock(self._world.loop, speed, offset_s)
        self.life: Life | None = None
        self._lives = 0

    def start(self) -> None:
        if self.life is not None:
            return
        self._lives += 1
        life = self.life = Life(self.name)
        self._machine.equip(life, self._clock)
        self._world.trace.note(life, f"starts, life {self._lives}")
        process = self._world.loop.spawn(life, _serve(self._config))
        process.add_done_callback(lambda done: self._ended(life, done), context=self._world.life.context())

    def _ended(self, life: Life, process: "asyncio.Task[None]") -> None:
        """The process ended by itself: drained, or because it could not go on."""
        error = None if process.cancelled() else process.exception()
        self._world.trace.note(life, f"exits: {error!r}" if error else "exits")
        if life is self.life:
            self._gone(life)

    def crash(self) -> None:
        if self.life is not None:
            self._world.trace.note(self.name, "crashes")
            self._gone(self.life)

    def _gone(self, life: Life) -> None:
        self._world.loop.end(life)
        self._machine.network.end(life)
        self.life = None
        down_s = self._world.random.uniform(*DOWN_S) if self._world.weather.crashes_per_s else DOWN_S[0]
        self._world.later(down_s, self.start)

    def freeze(self) -> None:
        life = self.life
        if life is not None and not life.frozen:
            self._world.trace.note(life, "freezes")
            life.frozen = True
            self._world.later(self._world.random.uniform(*FROZEN_S), self._thaw, life)

    def _thaw(self, life: Life) -> None:
        if not life.ended and life.frozen:
            self._world.trace.note(life, "thaws")
            self._world.loop.thaw(life)

    def heal(self) -> None:
        if self.life is not None:
            self._thaw(self.life)

    def drain(self) -> None:
        """As an operator's SIGTERM does."""
        life = self.life
        if life is not None and signal.SIGTERM in life.signals:
            self._world.trace.note(life, "is told to stop")
            self._world.loop.call_soon(life.signals[signal.SIGTERM], context=life.context())


class Cluster:
    """All hosts, and what befalls them."""

    def __init__(self, world: World, memory: Memory) -> None:
        self.world = world
        self.machine = Machine(world, memory)
        self.machine.install()
        self.hosts = [Host(self.machine, name, services) for name, services in HOSTS.items()]

    def start(self) -> None:
        for host in self.hosts:
            self.world.later(self.world.random.uniform(0, 1), host.start)

    async def trouble(self) -> None:
        """Crashes, freezes, drains and cuts, for as long as the weather has them."""
        world, weather = self.world, self.world.weather
        kinds = {
            "crash": weather.crashes_per_s,
            "freeze": weather.freezes_per_s,
            "drain": weather.drains_per_s,
            "cut": weather.cuts_per_s,
            "outage": weather.outages_per_s,
        }
        total = sum(kinds.values())
        while total:
            await asyncio.sleep(world.random.expovariate(total))
            (kind,) = world.random.choices(list(kinds), list(kinds.values()))
            if kind == "cut":
                self._cut()
            elif kind == "outage":
                world.database_back_at = world.loop.time() + world.random.uniform(*OUTAGE_S)
                world.trace.note("database", f"does not answer until {world.database_back_at:.3f}")
            else:
                getattr(world.random.choice(self.hosts), kind)()

    def _cut(self) -> None:
        """One link one way, or all links of a host, one way or both."""
        world, network = self.world, self.machine.network
        names = [*HOSTS, ZOOKEEPER]
        victim = world.random.choice(names)
        others = [name for name in names if name != victim]
        if world.random.random() < 0.5:
            others = [world.random.choice(others)]
        links = {(victim, other) for other in others}
        if world.random.random() < 0.5:
            links = {(other, victim) for other in others}
        if world.random.random() < 0.5:
            links |= {(target, source) for source, target in links}
        world.trace.note(victim, f"is cut off: {sorted(links)}")
        network.cut |= links
        world.later(world.random.uniform(*CUT_S), self._heal, victim, links)

    def _heal(self, victim: str, links: set[tuple[str, str]]) -> None:
        self.world.trace.note(victim, "is reachable again")
        self.machine.network.cut -= links

    def heal(self) -> None:
        """All faults end, and what is down comes back."""
        self.world.weather.calm()
        self.world.database_back_at = 0.0
        self.machine.network.cut.clear()
        for host in self.hosts:
            host.heal()
            host.start()


def _config(name: str, services: tuple[ServiceName, ...]) -> ServerConfig:
    store = DataStore(sql=SQL(plugin_name="sqlite", connect_attributes={"mode": "memory"}))
    return ServerConfig(
        persistence=Persistence(default_store="store", num_history_shards=SHARDS, datastores={"store": store}),
        global_=Global(membership=Membership(zookeeper=ZooKeeper(hosts=f"{ZOOKEEPER}:2181"))),
        services={service: Service(rpc=RPC(grpc_port=PORTS[service], bind_on_ip=name)) for service in services},
        bootstrap=Bootstrap(namespaces=("default",)),
        run_services=services,
    )
