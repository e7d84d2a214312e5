"""What goes wrong, when, and for how long: drawn from a seed, one sequence for each kind of part.

Of each kind at most one part is in trouble at a time, and everything that was taken away comes back. Kinds do not wait
for one another, so a host may start while the store is down and ZooKeeper elects a leader.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tests.parts.cluster import Cluster, Host
from tests.processes import Process

Act = Callable[[random.Random], Awaitable[None]]
A = TypeVar("A")

SERVING_S_MAX = 90.0  # a host that starts while store and ZooKeeper are away waits for both


class Faults:
    """Does harm until it is over. `workers` are processes of applications."""

    def __init__(self, cluster: Cluster, workers: Sequence[Process], seed: int, schedule: Path) -> None:
        self._cluster, self._workers, self._seed, self._schedule = cluster, workers, seed, schedule
        self._spare = cluster.add("history")
        self._began = time.monotonic()
        self._over = asyncio.Event()
        self.counts: Counter[str] = Counter()

    async def rage(self, seconds: float) -> None:
        """Returns when everything is up again. Raises ProcessDiedError for a process that ended by itself."""
        async with asyncio.TaskGroup() as kinds:
            hosts = self._cluster.of
            any_host: dict[str, list[Act]] = {
                service: [self._of(hosts(service), act) for act in (self._kill, self._kill, self._drain, self._freeze)]
                for service in ("frontend", "matching", "worker")
            }
            history = [host for host in hosts("history") if host is not self._spare]
            acts = (self._kill, self._kill, self._drain, self._freeze, self._cut, self._cut)
            for service, own in any_host.items():
                kinds.create_task(self._trouble(service, (3, 20), own))
            kinds.create_task(
                self._trouble("history", (3, 15), [self._join, *(self._of(history, act) for act in acts)])
            )
            nodes = self._cluster.zookeeper.nodes
            kinds.create_task(self._trouble("zookeeper", (5, 40), [self._of(nodes, self._kill_part)]))
            kinds.create_task(self._trouble("store", (20, 80), [self._kill_store]))
            kinds.create_task(self._trouble("application", (2, 20), [self._of(self._workers, self._kill_part)]))
            await asyncio.sleep(seconds)
            self._over.set()
        self.check_alive()
        self.note("everything is up again")

    def check_alive(self) -> None:
        """Raises ProcessDiedError for a process that ended by itself."""
        for process in (*self._cluster.hosts, *self._cluster.zookeeper.nodes, *self._workers):
            process.check_alive()

    def note(self, text: str) -> None:
        with self._schedule.open("a", encoding="utf-8") as lines:
            lines.write(f"{time.monotonic() - self._began:7.2f} {time.strftime('%H:%M:%S')} {text}\n")

    async def _trouble(self, kind: str, pause_s: tuple[float, float], acts: Sequence[Act]) -> None:
        chance = random.Random(f"{self._seed}/{kind}")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(*pause_s)):
                    await self._over.wait()
                    return
            await chance.choice(acts)(chance)

    def _of(self, parts: Sequence[A], act: Callable[[A, random.Random], Awaitable[None]]) -> Act:
        return lambda chance: act(chance.choice(parts), chance)

    def _begin(self, what: str, name: str) -> None:
        self.counts[what] += 1
        self.note(f"{what} {name}")

    # Acts. Each ends with everything up again.

    async def _kill(self, host: Host, chance: random.Random) -> None:
        host.check_alive()
        self._begin(f"kill {host.service}", host.name)
        host.kill()
        await asyncio.sleep(chance.choice((0, chance.uniform(0, 8))))
        await self._bring_back(host)

    async def _drain(self, host: Host, chance: random.Random) -> None:
        host.check_alive()
        self._begin(f"drain {host.service}", host.name)
        await asyncio.to_thread(host.stop)
        self.note(f"{host.name} has left")
        await asyncio.sleep(chance.uniform(0, 8))
        await self._bring_back(host)

    async def _freeze(self, host: Host, chance: random.Random) -> None:
        host.check_alive()
        self._begin(f"freeze {host.service}", host.name)
        os.kill(host.pid, signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(1, 12))
        os.kill(host.pid, signal.SIGCONT)
        self.note(f"{host.name} goes on")

    async def _cut(self, host: Host, chance: random.Random) -> None:
        assert host.home is not None, "history hosts have homes of their own"
        hears, speaks = chance.choice(((False, False), (True, False), (False, True)))
        self._begin(f"cut off {host.service}", f"{host.name} (hears: {hears}, speaks: {speaks})")
        host.home.cut(hears=hears, speaks=speaks)
        await asyncio.sleep(chance.uniform(1, 15))
        host.home.heal()
        self.note(f"{host.name} is healed")

    async def _join(self, chance: random.Random) -> None:
        self._begin("join history", self._spare.name)
        await self._bring_back(self._spare)
        await asyncio.sleep(chance.uniform(3, 15))
        leave = chance.choice((self._spare.stop, self._spare.kill))
        await asyncio.to_thread(leave)
        self.note(f"{self._spare.name} has left by {leave.__name__}")

    async def _bring_back(self, host: Host) -> None:
        await asyncio.to_thread(host.start)
        await asyncio.to_thread(host.wait_until_serving, SERVING_S_MAX)
        self.note(f"{host.name} serves")

    async def _kill_part(self, part: Process, chance: random.Random) -> None:
        part.check_alive()
        name = part.log.parent.name if part.log.stem == "zookeeper" else part.log.stem
        self._begin(f"kill {name.partition('-')[0]}", name)
        part.kill()
        await asyncio.sleep(chance.uniform(0, 8))
        await asyncio.to_thread(part.start)
        self.note(f"{name} is back")

    async def _kill_store(self, chance: random.Random) -> None:
        self._begin("kill store", "")
        store = self._cluster.store
        await asyncio.to_thread(store.kill)
        await asyncio.sleep(chance.uniform(0, 5))
        await asyncio.to_thread(store.start)
        self.note("the store is back")
