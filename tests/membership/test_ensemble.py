"""Three ZooKeeper nodes: members do not notice that one of them dies."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.membership.conftest import TICK_MS
from tests.membership.watching import section, watched
from tests.parts.zookeeper import Ensemble

SESSION_S = 6.0


@pytest.fixture
def ensemble(tmp_path: Path) -> Iterator[Ensemble]:
    ensemble = Ensemble(tmp_path, tick_ms=TICK_MS)
    try:
        ensemble.start()
        yield ensemble
    finally:
        ensemble.kill()


@pytest.mark.parametrize("victim", ["leader", "followers' turn"])
async def test_a_node_that_dies_changes_nothing(ensemble: Ensemble, victim: str) -> None:
    settings = section(ensemble.address, "/test", SESSION_S)
    async with watched(settings, "h1:1") as one, watched(settings, "h2:1") as two, watched(settings) as three:
        hosts = (one, two, three)
        for host in hosts:
            await host.until_states(h1="active", h2="active")
        before = [len(host.rings) for host in hosts]
        leader = ensemble.leader
        dying = [leader] if victim == "leader" else [node for node in ensemble.nodes if node is not leader]
        for node in dying:
            await asyncio.to_thread(node.kill)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5 * SESSION_S):
                    await three.until(lambda: len(three.rings) > before[2])
            await asyncio.to_thread(node.start)
        assert [len(host.rings) for host in hosts] == before
        assert [said for host in (one, two) for _, said in host.authorities] == [True, True]
        await one.membership.drain("history")
        for host in hosts:
            await host.until_states(h1="draining", h2="active")


async def test_without_a_majority_nobody_acts_and_nobody_forgets(ensemble: Ensemble) -> None:
    settings = section(ensemble.address, "/test", SESSION_S)
    async with watched(settings, "h1:1") as one, watched(settings, "h2:1") as two:
        await one.until_states(h1="active", h2="active")
        for node in ensemble.nodes[1:]:
            await asyncio.to_thread(node.kill)
        for host in (one, two):
            await host.until_authority(False)
        assert one.states() == {"h1:1": "active", "h2:1": "active"}
        await asyncio.to_thread(ensemble.nodes[1].start)
        for host in (one, two):
            await host.until_authority(True)
            await host.until_states(h1="active", h2="active")
