"""Hosts drain, die, freeze and join under a steady load of calls that nobody repeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.apps.drivers import TransferDriver
from tests.apps.stage import staged
from tests.cluster.calls import Caller, Code, Failure
from tests.cluster.load import Load
from tests.cluster.ownership import Probes, fences, metrics, owners
from tests.parts.cluster import Cluster

BEFORE_S = 3.0  # of load, before something happens and after it is over
TAKEOVER_S_MAX = 10.0
PASSING = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}


def frontends(cluster: Cluster) -> list[str]:
    return [host.address for host in cluster.of("frontend")]


def shown(failures: Sequence[Failure]) -> str:
    return "\n".join([f"{len(failures)} calls failed:", *map(str, failures[:20])])


@asynccontextmanager
async def loaded(cluster: Cluster) -> AsyncIterator[list[Failure]]:
    """Load before, while and after something is done to the cluster; after it the list holds the calls that failed."""
    told: list[Failure] = []
    seed = time.time_ns()  # workflow ids are new to the shared cluster
    async with Caller(frontends(cluster), patient=False) as caller, Load(caller, seed) as load:
        await asyncio.sleep(BEFORE_S)
        yield told
        await asyncio.sleep(BEFORE_S)
        await load.finish()
        told += caller.failures
    assert len(load.ledger.starts) > 10, "there was no load to speak of"
    assert not load.violations
    print(f"{load.ledger}; {len(told)} calls failed")


@pytest.mark.parametrize("service", ["history", "matching"])
async def test_a_drain_costs_no_client_a_call(cluster: Cluster, service: str) -> None:
    async with loaded(cluster) as told:
        for host in cluster.of(service):
            await asyncio.to_thread(host.stop)
            await asyncio.to_thread(cluster.bring_back)
    assert not told, shown(told)


async def test_a_drained_frontend_sends_its_own_callers_away(cluster: Cluster) -> None:
    drained = cluster.of("frontend")[1]
    async with loaded(cluster) as told:
        await asyncio.to_thread(drained.stop)
    refused = [failure for failure in told if (failure.address, failure.code) == (drained.address, Code.UNAVAILABLE)]
    assert refused, "calls go to both frontends, and one of them is gone"
    # Workers turn to that one too, and repeat no answer: who waits for a task of theirs may wait in vain.
    waited = ("UpdateWorkflowExecution", Code.DEADLINE_EXCEEDED)
    others = [failure for failure in told if failure not in refused and (failure.method, failure.code) != waited]
    assert not others, shown(others)


async def test_a_host_that_joins_takes_its_own_shards_and_no_others(cluster: Cluster) -> None:
    before, old = await fences(cluster), owners(cluster.of("history"))
    joined = cluster.add("history")
    new = owners(cluster.of("history"))
    moved = {shard_id for shard_id in new if new[shard_id] != old[shard_id]}
    try:
        async with loaded(cluster) as told:
            await asyncio.to_thread(joined.start)
            await asyncio.to_thread(joined.wait_until_serving)
            held = metrics(joined)["sharditem_created_count"]
        after = await fences(cluster)
    finally:
        await asyncio.to_thread(joined.stop)
        cluster.hosts.remove(joined)
    assert not told
    assert {new[shard_id] for shard_id in moved} == {joined.address}
    assert {shard_id for shard_id in after if after[shard_id] != before[shard_id]} == moved
    assert sum(held.values.values()) <= len(moved)


async def test_a_killed_history_host_is_replaced_within_ten_seconds(cluster: Cluster, tmp_path: Path) -> None:
    victim, hosts = cluster.of("history")[0], cluster.of("history")
    lost = [shard_id for shard_id, owner in owners(hosts).items() if owner == victim.address]
    async with (
        Caller(frontends(cluster), patient=False) as prober,
        staged(TransferDriver, cluster, tmp_path) as (driver, recorder),
    ):
        probes = Probes(prober, f"probe-{time.time_ns()}", lost)
        await probes.start()
        async with loaded(cluster) as told, asyncio.TaskGroup() as users:
            for number in range(10):
                users.create_task(driver.run_one(recorder, number))
            killed = time.monotonic()
            await asyncio.to_thread(victim.kill)
            served = await probes.served()
    print(f"{len(lost)} shards of a killed host were all served again after {served - killed:.1f} s")
    assert served - killed <= TAKEOVER_S_MAX
    failures = [*told, *prober.failures]
    wrong = [failure for failure in failures if failure.code not in PASSING or not killed <= failure.ended <= served]
    assert not wrong, shown(wrong)
