"""Members as processes: killed, stopped, started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.config import ZooKeeper
from tests.membership.conftest import TICK_MS
from tests.membership.watching import SESSION_S, WAIT_S, watched
from tests.processes import REPOSITORY

SLACK_S = 1.0


class MemberProcess:
    """`tests.membership.member`, read line by line."""

    def __init__(self, settings: ZooKeeper, address: str, log: Path) -> None:
        arguments = [settings.hosts, settings.root, address, str(settings.session_timeout.total_seconds())]
        self._command = [sys.executable, "-m", "tests.membership.member", *arguments]
        self._log = log

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )

    async def line(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), WAIT_S)
        assert line, f"the member ended; its log: {self._log.read_text()[-4000:]}"
        said: dict[str, Any] = json.loads(line)
        return said

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@pytest.fixture
async def member(settings: ZooKeeper, tmp_path: Path) -> AsyncIterator[Callable[[str], MemberProcess]]:
    made: list[MemberProcess] = []

    def make(address: str) -> MemberProcess:
        made.append(MemberProcess(settings, address, tmp_path / "member.log"))
        return made[-1]

    yield make
    for process in made:
        await process.end()


async def test_a_killed_host_is_gone_when_its_session_ends(
    settings: ZooKeeper, member: Callable[[str], MemberProcess]
) -> None:
    process = member("h1:1")
    async with watched(settings, "h2:1") as other:
        await process.start()
        await other.until_states(h1="active", h2="active")
        killed = time.monotonic()
        process.signal(signal.SIGKILL)
        gone = await other.until_states(h2="active")
        assert gone - killed < SESSION_S + TICK_MS / 1000 + SLACK_S


async def test_a_killed_host_that_comes_back_at_once_takes_its_own_place(
    settings: ZooKeeper, member: Callable[[str], MemberProcess]
) -> None:
    first, second = member("h1:1"), member("h1:1")
    async with watched(settings) as other:
        await first.start()
        assert (await first.line())["authority"]
        await other.until_states(h1="active")
        before = other.ring.members[0].started
        await first.end()
        await second.start()
        said = await second.line()
        assert said["authority"]
        await other.until(lambda: other.states() == {"h1:1": "active"} and other.ring.members[0].started > before)
        changes = len(other.rings)
        with pytest.raises(TimeoutError):  # what is left of the first ends, and nobody notices
            async with asyncio.timeout(SESSION_S + TICK_MS / 1000 + SLACK_S):
                await other.until(lambda: len(other.rings) > changes)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in the middle of acting"])
async def test_a_stopped_process_wakes_up_without_authority(
    settings: ZooKeeper, member: Callable[[str], MemberProcess], busy: bool
) -> None:
    process = member("h1:1")
    async with watched(settings, "h2:1") as other:
        await process.start()
        first = await process.line()
        assert first["authority"]
        await other.until_states(h1="active", h2="active")
        if busy:
            process.tell("act")
            assert (await process.line())["acting"]
        process.signal(signal.SIGSTOP)
        await other.until_states(h2="active")
        process.signal(signal.SIGCONT)
        if busy:
            woken = await process.line()
            assert woken["stopped_s"] > 1
            assert woken["wrong_looks"] == 0
        assert (await process.line())["authority"] is False
        again = await process.line()
        assert again["authority"] is True
        assert again["started"] > first["started"]
        await other.until_states(h1="active", h2="active")
        seen = next(at for at, ring in other.rings if again["started"] == [ring.members[0].started])
        assert seen < again["at"] + SLACK_S
