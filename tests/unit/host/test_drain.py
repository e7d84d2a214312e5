"""A host that stops hands over what it can, and ends its calls politely whatever else hangs or fails."""

import asyncio
from typing import Any, cast

import pytest

from services.host import drain as draining
from services.host.drain import Drains, drain
from services.membership import Membership
from services.rpc.server import Server


class Members:
    """ZooKeeper, which answers when `reachable` is set."""

    def __init__(self) -> None:
        self.reachable = asyncio.Event()
        self.drained: list[str] = []

    async def drain(self, service: str) -> None:
        await self.reachable.wait()
        self.drained.append(service)


class Part:
    """Of a host: notes what members had been told when it was drained, and then does as it is told."""

    def __init__(self, members: Members, failure: Exception | None = None) -> None:
        self._members, self._failure = members, failure
        self.saw: list[str] | None = None
        self.handed_over = False

    async def hand_over(self) -> None:
        assert not self._members.drained, "others have taken over already"
        self.handed_over = True
        if self._failure is not None:
            raise self._failure

    async def drain(self, _grace_s: float = 0) -> None:
        self.saw = list(self._members.drained)
        if self._failure is not None:
            raise self._failure


async def end(members: Members, server: Part, *parts: Part) -> None:
    await drain(
        cast(Membership, members), ("history", "matching"), [cast(Server, server)], cast("list[Drains]", list(parts))
    )


async def test_others_take_over_before_calls_end() -> None:
    members = Members()
    members.reachable.set()
    server, part = Part(members), Part(members)
    await end(members, server, part)
    assert server.saw == part.saw == ["history", "matching"]
    assert part.handed_over


async def test_without_zookeeper_calls_end_politely_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "LEAVE_S_MAX", 0.01)
    members = Members()
    server, part = Part(members), Part(members)
    await end(members, server, part)
    assert server.saw == part.saw == []


async def test_what_fails_does_not_keep_the_rest_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members()
    members.reachable.set()
    server, part = Part(members), Part(members)
    await end(members, server, Part(members, ValueError("unheard of")), part)
    assert server.saw is not None
    assert part.saw is not None


def test_the_whole_fits_into_the_time_that_pods_are_given() -> None:
    limits: Any = draining
    assert limits.WRITE_S_MAX + limits.LEAVE_S_MAX + limits.DRAIN_S_MAX <= 10
