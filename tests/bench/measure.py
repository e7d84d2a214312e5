"""One measurement: a steady load, and the meters read at both ends of a window inside it."""

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import NamedTuple

import grpc.aio
import psutil

from tests.bench.customers import Customers
from tests.bench.load import Load
from tests.bench.servers import Server
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
    server_cpu_s: float
    driver_cpu_s: float
    closed: int

    @classmethod
    def read(cls, server: psutil.Process, closed: int) -> "Meters":
        tree = [server, *server.children(recursive=True)]
        times = [process.cpu_times() for process in tree]
        return cls(time.perf_counter(), sum(t.user + t.system for t in times), time.process_time(), closed)


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
        before = Meters.read(server.process, len(customers.latencies_s))
        await asyncio.sleep(window_s)
        await customers.wait_for_closed(_wave_end(before.closed, len(customers.latencies_s), load.concurrency))
        after = Meters.read(server.process, len(customers.latencies_s))
        customers.stop()
        await asyncio.wait(running)
        for poller in pollers:
            poller.cancel()
    return Sample(
        window_s=after.at_s - before.at_s,
        server_cpu_s=after.server_cpu_s - before.server_cpu_s,
        driver_cpu_s=after.driver_cpu_s - before.driver_cpu_s,
        latencies_s=customers.latencies_s[before.closed : after.closed],
    )


def _wave_end(began: int, closed: int, concurrency: int) -> int:
    """Customers that began together close in waves: a window of whole waves neither gains nor loses a part of one."""
    waves = -(-(closed - began) // concurrency)
    return began + max(waves, 1) * concurrency
