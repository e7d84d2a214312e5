"""One seed: a cluster, its clients and workers, a while of trouble, a while of calm, and what must hold then."""

import asyncio
import traceback
from dataclasses import dataclass

from tests.simulation.audit import Auditor
from tests.simulation.breakages import Breakage
from tests.simulation.client import Customer
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Life, Livelock
from tests.simulation.memory import Memory
from tests.simulation.program import draw
from tests.simulation.worker import Worker
from tests.simulation.world import World

TROUBLE_S = (15.0, 60.0)
CALM_S = 400.0  # in which every workflow ends
QUIET_S = 120.0  # in which all that is left is done
WORKFLOWS = (4, 12)
WORKERS = 2


@dataclass(slots=True)
class Report:
    """What became of a seed."""

    seed: int
    digest: str
    virtual_s: float
    summary: str
    weather: str
    violations: list[str]
    trace: list[str]


class Simulation:
    """Built from a seed; `run` once. A breakage is made first, to see it found."""

    def __init__(self, seed: int, breakage: Breakage | None = None) -> None:
        self.world = World(seed)
        self.memory = Memory(lambda commit: self.auditor.committed(commit))
        self.ledger = Ledger()
        self.auditor = Auditor(self.world, self.memory, self.ledger)
        self.weather = str(self.world.weather)
        self.cluster = Cluster(self.world, self.memory)
        if breakage is not None:
            breakage(self.memory)

    def run(self) -> Report:
        world = self.world
        main = world.loop.spawn(world.life, self._story())
        world.on_violation = lambda: main.cancel()
        try:
            world.loop.run_until_complete(main)
        except asyncio.CancelledError:
            pass  # a violation ended it
        except Livelock as error:
            world.violations.append(str(error))
        except Exception:
            world.violations.append(traceback.format_exc())
        return Report(
            seed=world.seed,
            digest=world.trace.digest,
            virtual_s=world.loop.time(),
            summary=str(self.ledger),
            weather=self.weather,
            violations=world.violations,
            trace=list(world.trace.lines),
        )

    async def _story(self) -> None:
        world, random = self.world, self.world.random
        self.cluster.start()
        for number in range(1, WORKERS + 1):
            life = Life(f"worker-{number}")
            world.loop.spawn(life, Worker(self.cluster, self.ledger, life.name).work())
        customers = [world.loop.spawn(Life(f"client-{n}"), each.live()) for n, each in enumerate(self._customers())]
        trouble = asyncio.create_task(self.cluster.trouble())
        await asyncio.sleep(random.uniform(*TROUBLE_S))
        trouble.cancel()
        world.trace.note("world", "calm")
        self.cluster.heal()
        _, waiting = await asyncio.wait(customers, timeout=CALM_S)
        if waiting:
            world.violated(f"workflows do not end: {self.auditor.open_runs()}")
            return
        for customer in customers:
            customer.result()
        await self._until_quiet()
        self.auditor.at_the_end(self.cluster.machine)

    def _customers(self) -> list[Customer]:
        random = self.world.random
        ids = [f"wf-{n}" for n in range(random.randint(*WORKFLOWS))]
        made = []
        for workflow_id in ids:
            signals = random.choice((0, 0, 1, 3))
            program = draw(random, workflow_id, signals, ids)
            made.append(Customer(self.cluster, self.ledger, workflow_id, program, signals, random.choice((0, 1, 3))))
        return made

    async def _until_quiet(self) -> None:
        """Children that were abandoned end too, and tasks are deleted."""
        until = self.world.loop.time() + QUIET_S
        while self.world.loop.time() < until:
            await asyncio.sleep(1)
            if not self.auditor.open_runs() and not self.auditor.leftovers():
                return
