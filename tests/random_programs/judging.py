"""Plays programs on two servers, many at a time, and tells which differ."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from tests.conformance.judge import Verdict
from tests.conformance.registry import Scenario
from tests.conformance.servers import serve
from tests.conformance.transcript import Transcript
from tests.conformance.wire import Wire, tell
from tests.random_programs.program import Program, end

PROGRAM_LIMIT_S = 90.0
AT_ONCE_MAX = 36
SHOWN_LINES = 60

# Scenarios want time-outs and limits that are soon reached; programs are to meet none by chance.
UNHURRIED = {
    "history.workflowTaskHeartbeatTimeout": "30m",
    "history.longPollExpirationInterval": "60s",
    "limit.historyCount.suggestContinueAsNew": 4096,
    "history.maxTotalUpdates": 2000,
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": 5,
}


class Judge:
    """Servers that are compared, the oracle first."""

    def __init__(self, servers: Sequence[str], channels: Sequence[grpc.aio.Channel]) -> None:
        self._servers, self._channels = servers, channels

    async def judge(self, program: Program, suffix: str = "") -> Verdict:
        """Play one program on all servers; `suffix` keeps it apart from others of the same seed."""
        name = f"random-{program.seed}{suffix}"
        told = await asyncio.gather(*(_play(program, Wire(channel, name)) for channel in self._channels))
        return Verdict(Scenario(name, "random programs", _nothing), self._servers, told)

    async def judge_all(
        self, programs: Iterable[Program], at_once: int = AT_ONCE_MAX
    ) -> AsyncIterator[tuple[Program, Verdict]]:
        """Play many; verdicts as they come. What differs in the crowd is played again, alone, once or twice: the
        official server itself answers a race now this way, now that way. A defect differs each time.
        """
        places = asyncio.Semaphore(at_once)

        async def one(program: Program) -> tuple[Program, Verdict]:
            async with places:
                return program, await self.judge(program)

        anew: list[Program] = []
        for playing in asyncio.as_completed([one(each) for each in programs]):
            program, verdict = await playing
            if verdict.agrees:
                yield program, verdict
            else:
                anew.append(program)
        for program in anew:
            verdict = await self.judge(program, suffix="-alone")
            yield program, verdict if verdict.agrees else await self.judge(program, suffix="-again")


async def _play(program: Program, wire: Wire) -> Transcript:
    story = program.story(wire)
    transcript = await tell(wire, lambda _: program.play(story), PROGRAM_LIMIT_S)
    await end(story)
    return transcript


async def _nothing(_: Wire) -> None:
    """Verdicts are of scenarios, and this one is played by another."""


@asynccontextmanager
async def bench(servers: Sequence[str]) -> AsyncIterator[Judge]:
    """Start the servers."""
    async with AsyncExitStack() as stack:
        serving = (stack.enter_async_context(serve(kind, changed=UNHURRIED)) for kind in servers)
        channels = await asyncio.gather(*serving)
        yield Judge(servers, channels)


def told(program: Program, verdict: Verdict) -> str:
    """Where the transcripts part, or why both servers stopped, and how to see it again."""
    lines = verdict.difference().splitlines()
    if lines[0].startswith("---"):
        lines = lines[:SHOWN_LINES]
    else:  # alike, but not to the end
        lines = [line for line in lines if line.startswith(("# note", "!"))]
    without = f" WITHOUT={','.join(map(str, sorted(program.without)))}" if program.without else ""
    replay = f"  replay: make random SEEDS=1 FIRST_SEED={program.seed}{without}"
    return "\n".join([f"seed {program.seed} differs", *lines, replay])
