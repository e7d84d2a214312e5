"""What a start asks of the store."""

from collections.abc import Awaitable, Callable, Iterator

import pytest

from services.host.host import STORE_PAUSE_S, STORE_PAUSE_S_MAX, answered
from services.persistence import StoreError, StoreUnavailable, UnknownOutcome
from services.runtime import SystemClock


class Sleeps(SystemClock):
    """A clock that notes how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def telling(*answers: Exception | str) -> Callable[[], Awaitable[str]]:
    left: Iterator[Exception | str] = iter(answers)

    async def ask() -> str:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def test_a_store_that_goes_away_during_a_start_is_waited_for() -> None:
    clock, failures = Sleeps(), [StoreUnavailable("gone"), UnknownOutcome("reset"), StoreError("refused")] * 3
    assert await answered(telling(*failures, "here"), clock) == "here"
    assert clock.pauses[:3] == [STORE_PAUSE_S, 2 * STORE_PAUSE_S, 4 * STORE_PAUSE_S]
    assert clock.pauses[-1] == STORE_PAUSE_S_MAX


async def test_what_waiting_does_not_help_ends_the_start() -> None:
    with pytest.raises(ValueError, match="no such thing"):
        await answered(telling(ValueError("no such thing")), Sleeps())
