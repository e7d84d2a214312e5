"""Shards that nobody uses cost nothing: no access to the store, next to no CPU."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from tests.cluster.calls import Caller
from tests.cluster.load import Load
from tests.cluster.ownership import SHARDS, metrics
from tests.parts.cluster import Cluster, Host

BUSY_S, SETTLE_S, IDLE_S = 2.0, 15.0, 30.0  # the longest timer of what was done is one of 10 s
REFRESH = {"ListNamespaces", "GetMetadata"}  # of the namespaces: one look at all of them every few seconds
CPU_SHARE_MAX = 0.02


def accesses(host: Host) -> Counter[str]:
    """To the store so far, by operation."""
    found: Counter[str] = Counter()
    for name in ("persistence_requests", "visibility_persistence_requests"):
        if name in (families := metrics(host)):
            for labels, value in families[name].values.items():
                found[dict(labels)["operation"]] += int(value)
    return found


async def test_idle_shards_leave_the_store_alone(tmp_path: Path) -> None:
    shape, settings = {"frontend": 1, "history": 1, "matching": 1}, {"NUM_HISTORY_SHARDS": str(SHARDS)}
    with Cluster(tmp_path, store="postgresql", shape=shape, settings=settings) as cluster:
        (history,) = cluster.of("history")
        async with Caller([cluster.address], patient=False) as caller, Load(caller, 1) as load:
            await asyncio.sleep(BUSY_S)
            await load.finish()
        assert not caller.failures, "\n".join(map(str, caller.failures))
        await asyncio.sleep(SETTLE_S)  # timers that nobody needs any more go off, and the outbox is cleared
        assert sum(metrics(history)["numshards_gauge"].values.values()) == SHARDS
        before, cpu_s = accesses(history), history.cpu_s
        await asyncio.sleep(IDLE_S)
        idle, share = accesses(history) - before, (history.cpu_s - cpu_s) / IDLE_S
    print(f"{SHARDS} idle shards for {IDLE_S:g} s: {share:.2%} of a CPU, accesses to the store: {dict(idle)}")
    assert before["AppendHistoryNodes"] or before["UpdateWorkflowExecution"], "it was never busy"
    assert set(idle) <= REFRESH
    assert share <= CPU_SHARE_MAX
