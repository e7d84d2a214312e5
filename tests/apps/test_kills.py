"""Server and workers die by SIGKILL again and again while all three applications are in use; nothing may show it.

`SEED` and `KILLS` in the environment choose another run, or a longer one. The seed fixes what is asked of the
applications, how often the payment service fails, and how long each process lives; the machine adds its own chance.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from tests.apps.drivers import ALL, Driver
from tests.apps.in_use import InUse
from tests.apps.recorder import Recorder
from tests.apps.stage import recorder_of, worker_of
from tests.processes import Process, Server

SEED = int(os.environ.get("SEED", "1"))
KILLS = int(os.environ.get("KILLS", "100"))
REPLAY = f"SEED={SEED} KILLS={KILLS} .venv/bin/python -m pytest tests/apps/test_kills.py"
SERVER_SHARE = 0.4  # of the kills; the workers share the rest
SERVER_LIFE_SECONDS = (0.1, 2.0)  # from being ready to being killed: long enough, now and then, to get work done
WORKER_LIFE_SECONDS = (0.1, 1.5)
USERS_PER_APPLICATION = 8
SETTLE_SECONDS_MAX = 45.0  # from the last restart to the last result; time-outs and back-offs are 2 s at most


@dataclass
class Chaos:
    """What happens in one run of the test."""

    server: Server
    use: InUse
    kills: int = 0
    finished_under_fire: int = 0

    async def run(self) -> None:
        """Kill as often as asked while the applications are used; then they finish, or TimeoutError is raised."""
        server_kills = round(KILLS * SERVER_SHARE)
        shares = _divide(KILLS - server_kills, len(self.use.applications))
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as users:
            self.use.begin(users)
            async with asyncio.TaskGroup() as killers:
                killers.create_task(self._kill(self.server, "server", server_kills, SERVER_LIFE_SECONDS))
                for (driver, _, worker), share in zip(self.use.applications, shares, strict=True):
                    killers.create_task(self._kill(worker, driver.name, share, WORKER_LIFE_SECONDS))
            self.use.over.set()
            self.finished_under_fire = self.use.finished
            limit.reschedule(asyncio.get_running_loop().time() + SETTLE_SECONDS_MAX)

    async def _kill(self, victim: Process, name: str, times: int, life_seconds: tuple[float, float]) -> None:
        chance = random.Random(f"{SEED}/kills/{name}")
        for _ in range(times):
            await asyncio.sleep(chance.uniform(*life_seconds))
            victim.check_alive()
            victim.kill()
            self.kills += 1
            await asyncio.to_thread(victim.start)

    async def settle(self) -> int:
        """Run, then check everything; returns how many histories were replayed."""
        try:
            await self.run()
        except TimeoutError:
            raise await self.use.explain() from None
        return await self.use.check()


async def test_kills_lose_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    applications: list[tuple[Driver, Recorder, Process]] = []
    with Server(tmp_path) as server:
        try:
            for kind in ALL:
                driver = kind(tmp_path, SEED)
                worker = worker_of(driver, server, tmp_path)
                await asyncio.to_thread(worker.start)
                applications.append((driver, await recorder_of(driver, server), worker))
            chaos = Chaos(server, InUse(applications, USERS_PER_APPLICATION))
            replayed = await chaos.settle()
        except BaseException as failure:
            failure.add_note(
                f"to replay: SEED={SEED} KILLS={KILLS} .venv/bin/python -m pytest tests/apps/test_kills.py"
            )
            raise
        finally:
            for _, _, started in applications:
                started.kill()
    assert chaos.kills == KILLS
    print(
        f"seed {SEED}: {chaos.kills} kills, {chaos.use.finished} uses, {chaos.finished_under_fire} of them under fire,"
        f" {replayed} histories replayed, {time.monotonic() - began:.0f} s"
    )


def _divide(total: int, parts: int) -> list[int]:
    """Near-equal whole parts."""
    return [total * (part + 1) // parts - total * part // parts for part in range(parts)]
