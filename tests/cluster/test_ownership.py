"""Hosts drain, die, freeze and join under a steady load of calls that nobody repeats."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.calls import Caller, Code
from tests.cluster.load import Load
from tests.parts.cluster import Cluster

SEED = 5
BEFORE_S = 3.0  # of load, before something happens and after it is over


@pytest.mark.parametrize("service", ["history", "matching"])
async def test_a_drain_costs_no_client_a_call(cluster: Cluster, service: str) -> None:
    frontends = [host.address for host in cluster.of("frontend")]
    async with Caller(frontends, patient=False) as caller, Load(caller, SEED) as load:
        await asyncio.sleep(BEFORE_S)
        await asyncio.to_thread(cluster.of(service)[0].stop)
        await asyncio.sleep(BEFORE_S)
        await load.finish()
    told = [str(failure) for failure in caller.failures if failure.code is not Code.NOT_FOUND]
    print(caller.answered, load.ledger, len(load.ledger.results))
    assert not told
    assert not load.violations
