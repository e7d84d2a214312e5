"""Names in ZooKeeper, and who gives way when two lives of one address meet."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.membership import Member, MemberState, Ring
from services.membership.entries import Entry, Plan, life, parse, plan, ring_of

OLD, OWN, NEW = life(1_000, "aaaaaaaa"), life(2_000, "bbbbbbbb"), life(3_000, "00000000")
WANTED = Entry("10.0.0.1:7234", MemberState.ACTIVE, 2_001, OWN)
OTHER = Entry("10.0.0.2:7234", MemberState.ACTIVE, 5_000, NEW)


@given(
    st.sampled_from(["10.0.0.1:7234", "[::1]:7234", "history-0.perdure:7234"]),
    st.sampled_from(MemberState),
    st.integers(0, 2**50),
)
def test_a_name_reads_back_as_its_entry(address: str, state: MemberState, started: int) -> None:
    entry = Entry(address, state, started, OWN)
    assert parse(entry.name) == entry
    assert parse(entry.name + ",of,a,later,version") == entry


@pytest.mark.parametrize("name", ["", "x", "a:1,active,1", "a:1,asleep,1,l", "a:1,active,-,l", ",active,1,l"])
def test_what_is_no_entry_is_passed_over(name: str) -> None:
    assert parse(name) is None


def test_lives_sort_by_birth_for_centuries() -> None:
    assert life(999, "ffffffff") < OLD < OWN < NEW < life(10**13, "00000000")


def test_of_two_lives_the_newest_is_in_the_ring() -> None:
    newer = Entry(WANTED.address, MemberState.JOINING, 7, NEW)
    ring = ring_of("history", [newer, WANTED, OTHER])
    assert ring == Ring(Member("history", e.address, e.state, e.started) for e in (newer, OTHER))


def test_what_is_wanted_is_created_once() -> None:
    assert plan([OTHER], WANTED, OWN) == Plan(create=WANTED)
    assert plan([OTHER, WANTED], WANTED, OWN) == Plan()


@pytest.mark.parametrize(
    "stale",
    [
        replace(WANTED, state=MemberState.JOINING),
        replace(WANTED, started=1),
        replace(WANTED, address="10.0.0.9:7234"),
        replace(WANTED, life=OLD),
        replace(WANTED, life=OLD, started=9_999),
    ],
)
def test_it_takes_the_place_of_what_this_process_or_an_older_one_left(stale: Entry) -> None:
    assert plan([stale, OTHER], WANTED, OWN) == Plan(delete=(stale,), create=WANTED)


def test_it_gives_way_to_a_newer_process_at_its_address() -> None:
    rival = replace(WANTED, life=NEW)
    assert plan([rival, OTHER], WANTED, OWN) == Plan(rival=rival)
    assert plan([rival, WANTED], WANTED, OWN) == Plan(delete=(WANTED,), rival=rival)
    assert plan([rival, WANTED], rival, NEW) == Plan(delete=(WANTED,))


def test_who_wants_nothing_takes_away_only_its_own() -> None:
    assert plan([WANTED, OTHER, replace(WANTED, life=OLD)], None, OWN) == Plan(delete=(WANTED,))
