"""The lease: lost by the clock alone, whoever looks and whenever."""

import pytest

from services.membership.lease import Lease
from tests.unit.matching.conftest import HandClock

LENGTH_S = 3.6


class StoppableClock(HandClock):
    """A clock that can go on while the process does not."""

    def jump(self, seconds: float) -> None:
        self._now += seconds


def held(lease: Lease) -> bool:
    """Looks anew each time, which a type checker does not expect of a property."""
    return lease.held


@pytest.fixture
def clock() -> StoppableClock:
    return StoppableClock()


async def test_it_is_held_from_its_begin_for_its_length(clock: StoppableClock) -> None:
    lease = Lease(clock)
    assert not held(lease)
    lease.begin(clock.monotonic(), LENGTH_S)
    await clock.advance(LENGTH_S - 0.01)
    assert held(lease)
    await clock.advance(0.01)
    assert not held(lease)


async def test_a_process_that_was_stopped_finds_it_lost_before_any_timer_runs(clock: StoppableClock) -> None:
    lease = Lease(clock)
    lease.begin(clock.monotonic(), LENGTH_S)
    clock.jump(LENGTH_S)
    assert not held(lease)


async def test_it_counts_from_before_the_proof_was_sent(clock: StoppableClock) -> None:
    lease = Lease(clock)
    sent = clock.monotonic()
    await clock.advance(1)
    lease.begin(sent, LENGTH_S)
    await clock.advance(LENGTH_S - 1)
    assert not held(lease)


async def test_renewed_it_is_held_for_longer(clock: StoppableClock) -> None:
    lease = Lease(clock)
    lease.begin(clock.monotonic(), LENGTH_S)
    for _ in range(5):
        await clock.advance(3)
        lease.renew(clock.monotonic(), LENGTH_S)
    await clock.advance(3)
    assert held(lease)


async def test_an_answer_that_comes_too_late_does_not_bring_it_back(clock: StoppableClock) -> None:
    lease = Lease(clock)
    lease.begin(clock.monotonic(), LENGTH_S)
    clock.jump(LENGTH_S)
    lease.renew(clock.monotonic(), LENGTH_S)
    assert not held(lease)
    lease.begin(clock.monotonic() - LENGTH_S, LENGTH_S)
    assert not held(lease)
    lease.begin(clock.monotonic(), LENGTH_S)
    assert held(lease)


async def test_listeners_hear_every_change_in_order(clock: StoppableClock) -> None:
    lease = Lease(clock)
    heard: list[tuple[float, bool]] = []
    origin = clock.monotonic()
    unsubscribe = lease.watch(lambda now: heard.append((round(clock.monotonic() - origin, 1), now)))
    lease.begin(clock.monotonic(), LENGTH_S)
    await clock.advance(1)
    lease.renew(clock.monotonic(), LENGTH_S)
    await clock.advance(5)
    assert heard == [(0, True), (4.6, False)]
    lease.begin(clock.monotonic(), LENGTH_S)
    lease.lose()
    lease.begin(clock.monotonic(), LENGTH_S)  # the loss is heard although it was over before anybody was called
    assert heard[2:] == [(6, True), (6, False), (6, True)]
    unsubscribe()
    await clock.advance(10)
    assert len(heard) == 5


async def test_a_listener_that_fails_keeps_nobody_from_hearing(clock: StoppableClock) -> None:
    lease = Lease(clock)
    heard: list[bool] = []

    def fail(now: bool) -> None:
        raise ValueError(now)

    lease.watch(fail)
    lease.watch(heard.append)
    lease.begin(clock.monotonic(), LENGTH_S)
    lease.lose()
    await clock.advance(0)
    assert heard == [True, False]
