"""The ring: stable, balanced, and moving no key that need not move."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.membership import Member, Membership, MemberState, Ring, StaticMembership

KEYS = [str(shard) for shard in range(4096)]
ADDRESSES = st.lists(st.integers(0, 255).map(lambda n: f"10.0.0.{n}:7234"), min_size=1, max_size=12, unique=True)


def members(addresses: list[str], state: MemberState = MemberState.ACTIVE) -> list[Member]:
    return [Member("history", address, state) for address in addresses]


def owners(ring: Ring) -> list[str | None]:
    return [owner.address if owner else None for owner in ring.owners(KEYS)]


def test_places_are_the_same_for_ever() -> None:
    """Hosts of different versions must agree: this list may never change."""
    ring = Ring(members(["10.0.0.1:7234", "10.0.0.2:7234", "10.0.0.3:7234"]))
    last = [owner.address[7] if owner else "-" for owner in ring.owners(KEYS[:24])]
    assert "".join(last) == "113332312211211212122333"


@given(ADDRESSES)
def test_the_order_in_which_members_are_learnt_means_nothing(addresses: list[str]) -> None:
    ring, other = Ring(members(addresses)), Ring(members(addresses[::-1]))
    assert ring == other
    assert owners(ring) == owners(other)


@given(ADDRESSES)
def test_a_member_that_goes_moves_only_its_own_keys(addresses: list[str]) -> None:
    gone, *rest = addresses
    before, after = owners(Ring(members(addresses))), owners(Ring(members(rest)))
    for old, new in zip(before, after, strict=True):
        assert new == old or old == gone
        assert (new is None) == (not rest)


@given(ADDRESSES, st.sampled_from([MemberState.JOINING, MemberState.DRAINING]))
def test_only_active_members_own_and_all_are_listed(addresses: list[str], state: MemberState) -> None:
    idle, *rest = members(addresses)
    idle = replace(idle, state=state)
    ring = Ring([idle, *rest])
    assert set(ring.members) == {idle, *rest}
    assert owners(ring) == owners(Ring(rest))
    assert ring != Ring(rest)


@pytest.mark.parametrize(("count", "least", "most"), [(1, 1, 1), (3, 0.8, 1.2), (10, 0.75, 1.3), (50, 0.6, 1.45)])
def test_shares_are_even_within_reason(count: int, least: float, most: float) -> None:
    shares = Counter(owners(Ring(members([f"10.1.0.{n}:7234" for n in range(count)]))))
    mean = len(KEYS) / count
    assert len(shares) == count
    assert least <= min(shares.values()) / mean
    assert max(shares.values()) / mean <= most


@given(ADDRESSES, st.text(max_size=20))
def test_one_key_and_many_have_the_same_answer(addresses: list[str], key: str) -> None:
    ring = Ring(members(addresses))
    assert [ring.owner(key)] == ring.owners([key])


def test_a_ring_without_members_has_no_owner() -> None:
    assert Ring().owner("1") is None
    assert Ring().owners(["1", "2"]) == [None, None]


def test_a_later_life_of_an_address_owns_the_same_and_is_another_ring() -> None:
    first = Member("history", "10.0.0.1:7234", MemberState.ACTIVE, started=1)
    later = replace(first, started=2)
    assert Ring([first]) != Ring([later])
    assert Ring([later]).owner("1") == later


async def test_one_process_is_its_own_cluster() -> None:
    membership: Membership = StaticMembership({"history": "127.0.0.1:7234"})
    await membership.start()
    await membership.join("history", "127.0.0.1:7234")
    await membership.drain("history")
    owner = membership.ring("history").owner("1")
    assert owner == Member("history", "127.0.0.1:7234", MemberState.ACTIVE)
    assert membership.authority
    assert membership.ring("worker") == Ring()
    await membership.close()
