"""Members come, drain and go; everybody sees it within a second."""

import asyncio
import time

import pytest

from services.config import ZooKeeper
from services.membership import Member, MembershipClosed, MemberState, Ring, ZooKeeperMembership
from services.membership.connection import Connection
from services.runtime import SystemChance, SystemClock
from tests.membership.watching import Watched, section, watched
from tests.parts.zookeeper import ZooKeeper as Node


async def test_everybody_sees_a_host_join_drain_and_leave(settings: ZooKeeper) -> None:
    async with watched(settings, "h1:1") as one, watched(settings) as two:
        host = two.membership
        steps = [
            (host.join("history", "h2:1"), {"h1": "active", "h2": "joining"}, {"h1:1"}),
            (host.activate("history"), {"h1": "active", "h2": "active"}, {"h1:1", "h2:1"}),
            (host.drain("history"), {"h1": "active", "h2": "draining"}, {"h1:1"}),
            (host.leave("history"), {"h1": "active"}, {"h1:1"}),
        ]
        for step, states, owners in steps:
            asked = time.monotonic()
            await step
            assert two.states() == {f"{name}:1": state for name, state in states.items()}
            assert await one.until_states(**states) - asked < 1
            assert {owner.address for owner in one.ring.owners(map(str, range(100))) if owner} == owners
            assert one.ring == two.ring


async def test_a_process_may_serve_in_several_services_at_several_addresses(settings: ZooKeeper) -> None:
    async with watched(settings) as one, watched(settings) as two:
        await asyncio.gather(one.membership.join("matching", "h1:2"), one.membership.join("history", "h1:1"))
        await one.membership.activate("matching")
        await two.until(lambda: any(member.address == "h1:2" for member in two.membership.ring("matching").members))
        await two.until_states(h1="joining")
        assert one.membership.authority
        await one.membership.leave("history")
        await two.until_states()
        assert one.membership.authority
        assert [member.address for member in one.membership.ring("matching").members] == ["h1:2"]


async def test_a_host_has_authority_only_while_it_is_registered(settings: ZooKeeper) -> None:
    async with watched(settings) as one:
        assert not one.membership.authority
        await one.membership.join("history", "h1:1")
        await one.until_authority(True)
        await one.membership.leave("history")
        await one.until_authority(False)
        assert [said for _, said in one.authorities] == [True, False]


async def test_it_keeps_its_authority_for_longer_than_a_session(settings: ZooKeeper) -> None:
    async with watched(settings, "h1:1") as one:
        await one.until_authority(True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5 * settings.session_timeout.total_seconds()):
                await one.until_authority(False)


async def test_one_that_closes_is_gone_at_once(settings: ZooKeeper) -> None:
    async with watched(settings) as two:
        async with watched(settings, "h1:1"):
            await two.until_states(h1="active")
            asked = time.monotonic()
        assert await two.until_states() - asked < 1


async def test_clusters_with_different_roots_do_not_see_each_other(settings: ZooKeeper) -> None:
    elsewhere = section(settings.hosts, settings.root + "/inner")
    async with watched(settings, "h1:1") as one, watched(elsewhere, "h2:1") as two:
        assert one.states() == {"h1:1": "active"}
        assert two.states() == {"h2:1": "active"}


async def test_the_newer_of_two_processes_has_the_address_until_it_goes(settings: ZooKeeper) -> None:
    async with watched(settings, "h1:1") as old:
        await old.until_authority(True)
        old_ring = old.ring
        async with watched(settings, "h1:1") as new:
            await old.until_authority(False)
            await new.until_authority(True)
            assert new.states() == {"h1:1": "active"}
            assert new.ring != old_ring
            await old.until(lambda: old.ring == new.ring)
        await old.until_authority(True)
        assert old.states() == {"h1:1": "active"}


async def test_what_somebody_else_put_there_is_passed_over(settings: ZooKeeper) -> None:
    stranger = Connection(settings, lambda link: None)
    stranger.start()
    async with watched(settings) as one:
        assert await stranger.commit(create=[f"{settings.root}/members/history/what,is,this"])
        await stranger.close()
        await one.membership.join("history", "h1:1")
        assert one.states() == {"h1:1": "joining"}


async def test_a_listener_that_fails_keeps_nobody_from_hearing(settings: ZooKeeper) -> None:
    membership = ZooKeeperMembership(settings, SystemClock(), SystemChance())

    def fail(ring: Ring) -> None:
        raise ValueError(ring)

    membership.watch("history", fail)
    seen = Watched(membership)
    try:
        await membership.start()
        await membership.join("history", "h1:1")
        assert len(seen.rings) == 1
    finally:
        await membership.close()


async def test_who_waits_is_told_that_the_membership_closed(own_node: Node) -> None:
    membership = ZooKeeperMembership(section(own_node.address, "/test"), SystemClock(), SystemChance())
    with pytest.raises(MembershipClosed):
        await membership.join("history", "h1:1")
    start = asyncio.create_task(membership.start())
    await asyncio.sleep(0)
    join = asyncio.create_task(membership.join("history", "h1:1"))
    await asyncio.sleep(0)
    await membership.close()
    with pytest.raises(MembershipClosed):
        await join
    start.cancel()


async def test_zookeeper_is_waited_for(own_node: Node) -> None:
    settings = section(own_node.address, "/test")
    membership = ZooKeeperMembership(settings, SystemClock(), SystemChance())
    start = asyncio.create_task(membership.start())
    try:
        await asyncio.to_thread(own_node.start)
        await asyncio.wait_for(start, 10)
        await membership.join("history", "h1:1")
        await membership.activate("history")
        assert [member.state for member in membership.ring("history").members] == [MemberState.ACTIVE]
    finally:
        await membership.close()


async def test_a_restart_of_zookeeper_changes_nothing(own_node: Node) -> None:
    await asyncio.to_thread(own_node.start)
    async with (
        watched(section(own_node.address, "/test"), "h1:1") as one,
        watched(section(own_node.address, "/test"), "h2:1") as two,
    ):
        await one.until_states(h1="active", h2="active")
        await asyncio.to_thread(own_node.kill)
        assert one.states() == two.states() == {"h1:1": "active", "h2:1": "active"}
        drain = asyncio.create_task(one.membership.drain("history"))
        await asyncio.to_thread(own_node.start)
        await drain
        await two.until_states(h1="draining", h2="active")
        await two.until_authority(True)
        assert Member("history", "h2:1", MemberState.ACTIVE, two.ring.members[1].started) in one.ring.members
