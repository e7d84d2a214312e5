"""Forks of a growing set are as apart as copies are, though they share what they have."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.history.core.growing_set import GrowingSet

ENTRIES = st.sampled_from("abcd")


def test_a_fork_does_not_change_its_origin() -> None:
    origin = GrowingSet()
    origin.add("a")
    fork = origin.fork()
    fork.add("b")
    assert set(origin) == {"a"}
    assert "b" not in origin
    assert set(fork) == {"a", "b"}


def test_what_a_dropped_fork_added_is_not_there() -> None:
    origin = GrowingSet()
    dropped = origin.fork()
    dropped.add("a")
    fork = origin.fork()
    assert "a" not in fork
    fork.add("b")
    assert set(fork) == {"b"}
    assert "a" not in fork


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(ENTRIES, max_size=3)), max_size=20))
def test_it_is_a_set_whatever_is_dropped(decisions: list[tuple[bool, list[str]]]) -> None:
    """Each decision forks the current set, adds, and is committed or dropped: as the shell does."""
    current, model = GrowingSet(), set[str]()
    handed_out: list[tuple[GrowingSet, set[str]]] = []
    for committed, added in decisions:
        fork = current.fork()
        for entry in added:
            fork.add(entry)
        assert (set(fork), len(fork)) == (model | set(added), len(model | set(added)))
        if committed:
            handed_out.append((current, set(model)))
            current, model = fork, model | set(added)
        assert {entry for entry in "abcd" if entry in current} == model
    for old, entries in handed_out:
        assert set(old) == entries
