"""One measurement: a steady load, and the meters read at both ends of a window inside it."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc.aio
import psutil

from tests.bench.customers import Customers
from tests.bench.load import Load
from tests.bench.servers import STORE, Server
from tests.bench.worker import Worker

DRIVE_TIMEOUT_S = 120.0
# Without its own pool a channel would share another's connection to the same address.
CHANNEL_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one window on one server saw. CPU is user plus system time, over all closes in the window."""

    window_s: float
    server_cpu_s: float
    driver_cpu_s: float
    latencies_s: list[float]
    parts_cpu_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        return len(self.latencies_s) / self.window_s

    @property
    def server_cpu_ms(self) -> float:
        return self.server_cpu_s * 1e3 / len(self.latencies_s)

    @property
    def driver_cpu_ms(self) -> float:
        return self.driver_cpu_s * 1e3 / len(self.latencies_s)


class Meters(NamedTuple):
    """Running totals at one instant; two readings bound a window."""

    at_s: float
    parts_cpu_s: Mapping[str, float]
    driver_cpu_s: float
    closed: int

    @classmethod
    def read(cls, server: Server, closed: int) -> "Meters":
        parts = {part: sum(map(_cpu_s, processes)) for part, processes in server.processes.items()}
        return cls(time.perf_counter(), parts, time.process_time(), closed)


def _cpu_s(process: psutil.Process) -> float:
    tree = [process, *process.children(recursive=True)]
    times = [each.cpu_times() for each in tree]
    return sum(t.user + t.system for t in times)


async def drive(server: Server, load: Load, *, warm_up_s: float, window_s: float) -> Sample:
    """Load the server steadily and measure what closes in a window of at least `window_s`. Every workflow is checked.

    Raises TimeoutError, or an ExceptionGroup of BenchError or grpc.RpcError, when anything at all went wrong.
    """
    queue = f"bench-{load}-{uuid.uuid4().hex[:8]}"
    # Two channels with a connection each: an application and a worker are two processes in real life.
    async with (
        asyncio.timeout(DRIVE_TIMEOUT_S),
        grpc.aio.insecure_channel(server.target, CHANNEL_OPTIONS) as application,
        grpc.aio.insecure_channel(server.target, CHANNEL_OPTIONS) as worker_channel,
        asyncio.TaskGroup() as group,
    ):
        pollers = Worker(worker_channel, load, queue).start(group)
        customers = Customers(application, load, queue)
        running = customers.start(group)
        await asyncio.sleep(warm_up_s)
        await customers.wait_for_closed(load.concurrency)
        before = Meters.read(server, len(customers.latencies_s))
        await asyncio.sleep(window_s)
        await customers.wait_for_closed(_wave_end(before.closed, len(customers.latencies_s), load.concurrency))
        after = Meters.read(server, len(customers.latencies_s))
        customers.stop()
        await asyncio.wait(running)
        for poller in pollers:
            poller.cancel()
    parts_cpu_s = {part: after.parts_cpu_s[part] - before.parts_cpu_s[part] for part in after.parts_cpu_s}
    return Sample(
        window_s=after.at_s - before.at_s,
        server_cpu_s=sum(cpu_s for part, cpu_s in parts_cpu_s.items() if part != STORE),
        parts_cpu_s=parts_cpu_s,
        driver_cpu_s=after.driver_cpu_s - before.driver_cpu_s,
        latencies_s=customers.latencies_s[before.closed : after.closed],
    )


def _wave_end(began: int, closed: int, concurrency: int) -> int:
    """Customers that began together close in waves: a window of whole waves neither gains nor loses a part of one."""
    waves = -(-(closed - began) // concurrency)
    return began + max(waves, 1) * concurrency
