"""The virtual loop: time that jumps, lives that end without a word, lives that freeze."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.simulation.loop import Life, Livelock, VirtualLoop


def run(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` beside the test's own loop."""
    asyncio.events._set_running_loop(None)
    try:
        loop.run_until_complete(loop.create_task(work))
    finally:
        loop.close()


@pytest.fixture
def loop() -> VirtualLoop:
    return VirtualLoop(lambda: 0.5)


@pytest.fixture
def said() -> list[str]:
    return []


async def tick(loop: VirtualLoop, said: list[str], name: str) -> None:
    try:
        while True:
            await asyncio.sleep(1)
            said.append(f"{name} {round(loop.time())}")
    finally:
        said.append(f"{name} tidies up")


def test_a_day_passes_at_once(loop: VirtualLoop) -> None:
    async def work() -> None:
        await asyncio.sleep(24 * 3600)
        assert round(loop.time()) == 24 * 3600

    run(loop, work())


def test_a_life_that_ended_does_nothing_more_not_even_tidying_up(loop: VirtualLoop, said: list[str]) -> None:
    life = Life("host")

    async def work() -> None:
        loop.spawn(life, tick(loop, said, "host"))
        await asyncio.sleep(2.5)
        loop.end(life)
        await asyncio.sleep(5)

    run(loop, work())
    assert said == ["host 1", "host 2"]


def test_a_frozen_life_goes_on_where_it_was(loop: VirtualLoop, said: list[str]) -> None:
    frozen, other = Life("frozen"), Life("other")

    async def work() -> None:
        loop.spawn(frozen, tick(loop, said, "frozen"))
        loop.spawn(other, tick(loop, said, "other"))
        await asyncio.sleep(1.5)
        frozen.frozen = True
        await asyncio.sleep(2)
        loop.thaw(frozen)
        await asyncio.sleep(0.2)
        loop.end(frozen)
        loop.end(other)

    run(loop, work())
    assert said == ["frozen 1", "other 1", "other 2", "other 3", "frozen 4"]


def test_sets_of_futures_are_walked_in_the_order_of_their_birth(loop: VirtualLoop) -> None:
    async def work() -> None:
        futures = [loop.create_future() for _ in range(50)]
        assert list({*futures[::-1]}) == futures

    run(loop, work())


def test_a_loop_that_never_waits_is_found(loop: VirtualLoop) -> None:
    async def work() -> None:
        while True:  # noqa: ASYNC110 (the mistake)
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="callbacks within"):
        run(loop, work())


def test_when_nothing_can_happen_any_more_it_says_so(loop: VirtualLoop) -> None:
    async def work() -> None:
        await loop.create_future()

    with pytest.raises(Livelock, match="nothing is left"):
        run(loop, work())
