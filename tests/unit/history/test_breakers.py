"""Circuit breakers, on a clock turned by hand."""

from typing import cast

from services.history.breakers import FAILURES_MAX, REMEMBERED_MAX, REST_S, CircuitBreakers
from services.runtime import Clock


class Hand:
    """A clock that stands still until it is turned."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


def failing(hand: Hand, times: int) -> CircuitBreakers:
    breakers = CircuitBreakers(cast(Clock, hand))
    for _ in range(times):
        assert breakers.may_call("there")
        breakers.note("there", failed=True)
    return breakers


def test_a_few_failures_are_nothing() -> None:
    breakers = failing(Hand(), FAILURES_MAX)
    assert breakers.may_call("there")
    breakers.note("there", failed=False)
    for _ in range(FAILURES_MAX):
        breakers.note("there", failed=True)
    assert breakers.may_call("there"), "only failures in a row count"


def test_a_destination_that_goes_on_failing_is_left_alone() -> None:
    hand = Hand()
    breakers = failing(hand, FAILURES_MAX + 1)
    assert not breakers.may_call("there")
    assert breakers.may_call("elsewhere")
    hand.now_s += REST_S - 1
    assert not breakers.may_call("there")


def test_after_its_rest_one_call_tries_it() -> None:
    hand = Hand()
    breakers = failing(hand, FAILURES_MAX + 1)
    hand.now_s += REST_S
    assert breakers.may_call("there")
    assert not breakers.may_call("there"), "one at a time"
    breakers.note("there", failed=True)
    hand.now_s += REST_S - 1
    assert not breakers.may_call("there")
    hand.now_s += 1
    assert breakers.may_call("there")
    breakers.note("there", failed=False)
    assert breakers.may_call("there")
    assert breakers.may_call("there")


def test_only_so_many_are_remembered() -> None:
    breakers = failing(Hand(), FAILURES_MAX + 1)
    for number in range(REMEMBERED_MAX):
        breakers.note(str(number), failed=True)
    assert breakers.may_call("there")
