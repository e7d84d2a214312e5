"""Perdure as it is deployed: on a database, and as a cluster of services. What each part of it costs a workflow."""

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import uvloop

from tests.bench.load import Load
from tests.bench.measure import Sample, drive
from tests.bench.report import Figures
from tests.bench.servers import STORE, Server, wait_until_serving
from tests.parts.cluster import SHAPE, Cluster, StoreName
from tests.parts.one_process import OneProcess

LOADS = (Load(1), Load(20), Load(100))
WARM_UP_S, WINDOW_S, WINDOW_S_QUICK = 2.0, 6.0, 2.0
HISTORY_HOSTS = (1, 3)

Deploy = Callable[[], AbstractAsyncContextManager[Server]]


def deployments(store: StoreName | None, *, cluster: bool) -> Mapping[str, Deploy]:
    """What is compared, by name: one process on a store, or clusters on it (Cassandra unless another is named)."""
    if cluster:
        return {f"{hosts} history": partial(in_cluster, store or "cassandra", hosts) for hosts in HISTORY_HOSTS}
    assert store is not None
    return {store: partial(on_store, store)}


@asynccontextmanager
async def on_store(store: StoreName) -> AsyncIterator[Server]:
    """All four services in one process, the store with its writes on the disk."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        OneProcess(Path(folder), store, durable=True) as deployed,
    ):
        await wait_until_serving(None, deployed.address)
        processes = {"server": [psutil.Process(deployed.host.pid)], STORE: [psutil.Process(deployed.store.pid)]}
        yield Server(deployed.address, processes)


@asynccontextmanager
async def in_cluster(store: StoreName, history_hosts: int) -> AsyncIterator[Server]:
    """Each service in processes of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        Cluster(Path(folder), store=store, shape={**SHAPE, "history": history_hosts}, durable=True) as cluster,
    ):
        await wait_until_serving(None, cluster.address)
        processes = {service: [psutil.Process(host.pid) for host in cluster.of(service)] for service in SHAPE}
        yield Server(cluster.address, {**processes, STORE: [psutil.Process(cluster.store.pid)]})


def compare(deployed: Mapping[str, Deploy], loads: Sequence[Load] | None, *, quick: bool) -> str:
    """A table: for each load, what each deployment does with it and what each of its parts costs."""
    return uvloop.run(_compare(deployed, loads or LOADS, WINDOW_S_QUICK if quick else WINDOW_S))


async def _compare(deployed: Mapping[str, Deploy], loads: Sequence[Load], window_s: float) -> str:
    samples: dict[tuple[Load, str], Sample] = {}
    for name, deploy in deployed.items():
        async with deploy() as server:
            await drive(server, Load(20), warm_up_s=0.0, window_s=WARM_UP_S)
            for load in loads:
                samples[load, name] = await drive(server, load, warm_up_s=1.0, window_s=window_s)
    return _table(samples)


def _table(samples: Mapping[tuple[Load, str], Sample]) -> str:
    parts = list(dict.fromkeys(part for sample in samples.values() for part in sample.parts_cpu_s))
    rows = [["at once", "deployment", "workflows/s", "p50 ms", "p99 ms", *(f"{part} CPU ms" for part in parts)]]
    for load in dict.fromkeys(load for load, _ in samples):
        for (of, name), sample in samples.items():
            if of == load:
                rows.append(_row(load, name, sample, parts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(load: Load, name: str, sample: Sample, parts: Sequence[str]) -> list[str]:
    figures = Figures.of([sample])
    costs = [sample.parts_cpu_s.get(part, 0.0) * 1e3 / len(sample.latencies_s) for part in parts]
    numbers = (figures.throughput, figures.p50_ms, figures.p99_ms, *costs)
    return [str(load), name, *(f"{number:.2f}" for number in numbers)]
