"""Nothing acknowledged is lost, doubled or stuck, whatever was killed, frozen, cut off, drained or joined meanwhile.

`MINUTES`, `SEED` and `STORE` in the environment choose the run. The seed fixes what is asked of the cluster and what
is done to it; the machine adds its own chance.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.apps.drivers import ALL, Driver
from tests.apps.in_use import InUse
from tests.apps.recorder import Recorder
from tests.apps.stage import recorder_of, worker_of
from tests.chaos.faults import Faults
from tests.cluster.audit import Audit
from tests.cluster.calls import Caller
from tests.cluster.load import Load
from tests.parts.cluster import Cluster, Host, StoreName
from tests.parts.network import Network
from tests.processes import Process
from tests.simulation.program import Step, draw

MINUTES = float(os.environ.get("MINUTES", "10"))
SEED = int(os.environ.get("SEED", "1"))
STORE = cast("StoreName", os.environ.get("STORE", "cassandra"))
REPLAY = f"make chaos MINUTES={MINUTES:g} SEED={SEED} STORE={STORE}"
USERS_PER_APPLICATION = 3
CUSTOMERS = 10
SETTLE_S_MAX = 150.0  # from everything being up again to the last result


def program(chance: random.Random, workflow_id: str) -> Step:
    return draw(chance, workflow_id, chance.choice((0, 1, 2)), [])


@asynccontextmanager
async def in_use(cluster: Cluster, directory: Path) -> AsyncIterator[InUse]:
    """The three applications, each at a frontend of its own choice."""
    applications: list[tuple[Driver, Recorder, Process]] = []
    frontends: list[Host] = cluster.of("frontend")
    try:
        for number, kind in enumerate(ALL):
            driver, frontend = kind(directory, SEED), frontends[number % len(frontends)]
            started = worker_of(driver, frontend, directory)
            await asyncio.to_thread(started.start)
            applications.append((driver, await recorder_of(driver, frontend), started))
        yield InUse(applications, USERS_PER_APPLICATION)
    finally:
        for _, _, worker in applications:
            worker.kill()


@dataclass
class Run:
    """One run of the test, on a cluster that serves."""

    faults: Faults
    use: InUse
    load: Load
    caller: Caller

    async def survive(self) -> str:
        """Says what was done; raises for what must not be."""
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as users:
                self.use.begin(users)
                await self.faults.rage(60 * MINUTES)
                self.use.over.set()
                limit.reschedule(asyncio.get_running_loop().time() + SETTLE_S_MAX)
                await self.load.finish(SETTLE_S_MAX)
        except TimeoutError:
            raise await self.explain() from None
        audit = Audit(self.caller, self.load)
        await audit.everything()
        assert not self.load.violations + audit.violations, "\n".join(self.load.violations + audit.violations)
        replayed = await self.use.check()
        repeated = Counter(failure.code.name for failure in self.caller.failures)
        return (
            f"{dict(self.faults.counts)}; applications: {self.use.finished} uses, {replayed} histories replayed; "
            f"load: {self.load.ledger}, {len(audit.stories)} histories, calls repeated: {dict(repeated)}"
        )

    async def explain(self) -> AssertionError:
        self.faults.check_alive()
        stuck = await self.use.explain()
        return AssertionError(f"{stuck}; and of the load: {sorted(self.load.under_way)}; {self.load.violations}")


async def test_chaos(tmp_path: Path) -> None:
    began, schedule = time.monotonic(), tmp_path / "schedule.txt"
    with Network() as network, Cluster(tmp_path, store=STORE, zookeepers=3, network=network) as cluster:
        async with (
            in_use(cluster, tmp_path) as use,
            Caller([host.address for host in cluster.of("frontend")], patient=True) as caller,
            Load(caller, SEED, draw=program, updates=("now", "later", "reject"), customers=CUSTOMERS) as load,
        ):
            faults = Faults(cluster, [worker for _, _, worker in use.applications], SEED, schedule)
            try:
                told = await Run(faults, use, load, caller).survive()
            except BaseException as failure:
                failure.add_note(f"to replay: {REPLAY}; logs in {tmp_path}; what was done:\n{schedule.read_text()}")
                raise
    print(f"seed {SEED}, {STORE}, {time.monotonic() - began:.0f} s: {told}")
