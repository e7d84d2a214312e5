"""The pool of connections: how many there are, who gets one next, and when one is replaced."""

import asyncio

import pytest

from services.persistence import StoreError, StoreUnavailable
from services.persistence.sql.pool import Limits, Pool


class Connection:
    def __init__(self, number: int) -> None:
        self.number, self.usable, self.closed = number, True, False


class Driver:
    """Connections numbered from 1. `failing`: there is no server."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.failing = False

    async def connect(self) -> Connection:
        await asyncio.sleep(0)
        if self.failing:
            raise StoreUnavailable("nobody there")
        self.opened.append(Connection(len(self.opened) + 1))
        return self.opened[-1]

    def is_usable(self, connection: Connection) -> bool:
        return connection.usable

    async def close(self, connection: Connection) -> None:
        connection.closed = True


@pytest.fixture
def driver() -> Driver:
    return Driver()


async def number_of(connection: Connection) -> int:
    await asyncio.sleep(0)
    return connection.number


async def test_no_more_connections_than_allowed_and_the_first_come_is_served_first(driver: Driver) -> None:
    pool = Pool(driver, Limits(connections_max=3))
    served: list[int] = []

    async def job(name: int) -> None:
        async def use(connection: Connection) -> None:
            await asyncio.sleep(0)
            served.append(name)

        await pool.run(use)

    await asyncio.gather(*[job(name) for name in range(20)])
    assert len(driver.opened) == 3
    assert served == list(range(20))
    await pool.close()
    assert all(connection.closed for connection in driver.opened)


async def test_an_idle_connection_is_used_again_and_a_broken_one_is_not(driver: Driver) -> None:
    pool = Pool(driver, Limits())
    assert [await pool.run(number_of) for _ in range(3)] == [1, 1, 1]
    driver.opened[0].usable = False
    assert await pool.run(number_of) == 2

    async def breaks(connection: Connection) -> None:
        connection.usable = False
        raise StoreError("broken")

    with pytest.raises(StoreError, match="broken"):
        await pool.run(breaks)
    assert await pool.run(number_of) == 3
    await pool.close()
    assert [connection.closed for connection in driver.opened] == [True] * 3


async def test_more_idle_connections_than_wanted_are_closed(driver: Driver) -> None:
    pool = Pool(driver, Limits(connections_max=5, idle_max=2))
    await asyncio.gather(*[pool.run(number_of) for _ in range(5)])
    await asyncio.sleep(0)
    assert [connection.closed for connection in driver.opened].count(False) == 2
    await pool.close()


async def test_an_old_connection_is_replaced(driver: Driver) -> None:
    pool = Pool(driver, Limits(lifetime_s=0.000001))
    assert [await pool.run(number_of) for _ in range(3)] == [1, 2, 3]
    await pool.close()


async def test_a_server_that_is_gone_fails_everybody_at_once_and_its_return_is_noticed(driver: Driver) -> None:
    pool = Pool(driver, Limits(connections_max=2))
    driver.failing = True
    async with asyncio.timeout(5):
        results = await asyncio.gather(*[pool.run(number_of) for _ in range(10)], return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 10
    driver.failing = False
    assert await pool.run(number_of) == 1
    await pool.close()


@pytest.mark.parametrize("turns", range(5))
async def test_who_is_cancelled_while_waiting_takes_no_connection_along(driver: Driver, turns: int) -> None:
    pool = Pool(driver, Limits(connections_max=1))
    waiters = [asyncio.ensure_future(pool.run(number_of)) for _ in range(6)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for waiter in waiters[::2]:
        waiter.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiters, return_exceptions=True)
        assert await pool.run(number_of) >= 1
        await pool.close()
    assert all(connection.closed for connection in driver.opened)


async def test_closing_lets_the_accepted_finish_and_takes_no_more(driver: Driver) -> None:
    pool = Pool(driver, Limits(connections_max=2))
    accepted = [asyncio.ensure_future(pool.run(number_of)) for _ in range(7)]
    await asyncio.sleep(0)
    await pool.close()
    assert all(job.done() and not job.exception() for job in accepted)
    with pytest.raises(StoreError, match="closed"):
        await pool.run(number_of)
    await pool.close()
