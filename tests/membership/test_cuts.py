"""A host that is cut off from ZooKeeper stops acting as an owner before anybody else can take over."""

import asyncio
from collections.abc import Callable

import pytest

from services.config import ZooKeeper
from tests.membership.proxy import Proxy
from tests.membership.watching import section, watched

CUTS: dict[str, Callable[[Proxy], None]] = {
    "both ways": lambda proxy: proxy.cut(),
    "nothing reaches ZooKeeper": lambda proxy: proxy.cut(to_client=False),
    "nothing comes back": lambda proxy: proxy.cut(to_server=False),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_authority_ends_before_the_others_drop_the_host(
    settings: ZooKeeper, proxy: Proxy, cut: Callable[[Proxy], None]
) -> None:
    behind = section(proxy.address, settings.root)
    async with watched(behind, "h1:1") as lost, watched(settings, "h2:1") as other:
        for seen in (lost, other):
            await seen.until_states(h1="active", h2="active")
        await lost.until_authority(True)
        before = lost.ring
        cut(proxy)
        dropped = await other.until_states(h2="active")
        assert [said for _, said in lost.authorities] == [True, False]
        ended, _ = lost.authorities[-1]
        assert ended < dropped
        assert lost.ring == before  # the last known view, good for routing
        assert not lost.membership.authority
        proxy.heal()
        await lost.until_authority(True)
        await other.until_states(h1="active", h2="active")
        assert lost.ring == other.ring
        assert lost.ring != before  # another registration


async def test_a_short_cut_is_bridged(settings: ZooKeeper, proxy: Proxy) -> None:
    async with watched(section(proxy.address, settings.root), "h1:1") as one, watched(settings) as other:
        await one.until_authority(True)
        changes = len(other.rings)
        proxy.cut()
        await asyncio.sleep(0.1 * settings.session_timeout.total_seconds())
        proxy.heal()
        await one.membership.drain("history")
        assert [said for _, said in one.authorities] == [True]
        await other.until_states(h1="draining")
        assert len(other.rings) == changes + 1


async def test_a_cut_longer_than_the_lease_and_shorter_than_the_session_needs_a_new_registration(
    settings: ZooKeeper, proxy: Proxy
) -> None:
    async with watched(section(proxy.address, settings.root), "h1:1") as one, watched(settings) as other:
        await one.until_authority(True)
        first = one.ring.members[0].started
        proxy.cut()
        await one.until_authority(False)
        proxy.heal()
        await one.until_authority(True)
        await other.until(lambda: [member.started for member in other.ring.members] == [one.ring.members[0].started])
        assert one.ring.members[0].started > first
        assert all(ring.members for _, ring in other.rings)  # nobody saw it away


async def test_a_wish_during_a_cut_comes_true_after_it(settings: ZooKeeper, proxy: Proxy) -> None:
    async with watched(section(proxy.address, settings.root), "h1:1") as one, watched(settings) as other:
        proxy.cut()
        drain = asyncio.create_task(one.membership.drain("history"))
        await other.until_states()
        proxy.heal()
        await drain
        await other.until_states(h1="draining")
