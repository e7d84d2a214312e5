"""Runs scenarios on servers side by side and compares what they told."""

import asyncio
import difflib
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple

from tests.conformance.known import KNOWN
from tests.conformance.registry import Scenario
from tests.conformance.servers import serve
from tests.conformance.transcript import Transcript
from tests.conformance.wire import Wire, tell

SCENARIO_LIMIT_S = 30.0
"""A scenario's whole time; the slowest ones wait for a few time-outs of one second."""


class Round(NamedTuple):
    """How many scenarios run at once, and how long they rest before their histories are told."""

    at_once: int
    rest_s: float


CROWD = Round(12, 0.0)  # enough to fill waiting times, few enough that a small machine keeps time
ALONE = Round(1, 0.5)


@dataclass(frozen=True)
class Verdict:
    """What the servers told of one scenario, the oracle first."""

    scenario: Scenario
    servers: Sequence[str]
    transcripts: Sequence[Transcript]

    @property
    def agrees(self) -> bool:
        """All told the same, and told it to the end."""
        first = self.transcripts[0].render()
        return all(not each.stopped and each.render() == first for each in self.transcripts)

    @property
    def known(self) -> str:
        """Why a difference is accepted, or nothing."""
        return KNOWN.get(self.scenario.name, "")

    @property
    def surprising(self) -> str:
        """Why this verdict fails the run, or nothing."""
        if self.agrees:
            return f"{self.scenario.name} agrees: take it off the known differences" if self.known else ""
        return "" if self.known else f"{self.scenario.name} differs\n{self.difference()}"

    def difference(self) -> str:
        """A unified diff of the transcripts, or the transcript of a scenario that stopped alike everywhere."""
        texts = [each.render() for each in self.transcripts]
        names = [f"{index} {server}" for index, server in enumerate(self.servers)]
        parts: list[str] = []
        for name, text in zip(names[1:], texts[1:], strict=True):
            parts.extend(difflib.unified_diff(texts[0], text, names[0], name, n=6, lineterm=""))
        return "\n".join(parts or texts[0])

    def brief(self) -> str:
        """The scenario, the call where the transcripts part, and the first lines that differ."""
        first, *others = (each.render() for each in self.transcripts)
        for other in others:
            if first != other:
                pairs = enumerate(zip(first, other, strict=False))
                parting = next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(first), len(other)))
                call = next((line for line in reversed(first[: parting + 1]) if line.startswith("# ")), "")
                changed = [line for line in self.difference().splitlines()[2:] if line.startswith(("-", "+"))]
                return "\n".join([f"{self.scenario.name} {call}", *changed[:8]])
        return f"{self.scenario.name} {first[-1]}"


async def judge(scenarios: Iterable[Scenario], servers: Sequence[str]) -> AsyncIterator[Verdict]:
    """Start the servers, run the scenarios on all of them, and yield verdicts as they come.

    Scenarios run in a crowd first, to fill each other's waiting times. In one either server may miss a time-out of a
    second, the official one most, so what differs there is judged anew, alone on new servers, and given time to come to
    rest before histories are told. A defect differs each time.
    """
    chosen = list(scenarios)
    for tight in (False, True):
        group = [scenario for scenario in chosen if scenario.tight == tight]
        rounds = [CROWD, ALONE, ALONE] if len(group) > 1 else [ALONE]
        while rounds:
            this, anew = rounds.pop(0), list[Scenario]()
            async for verdict in _judge(group, servers, this, tight=tight):
                if verdict.surprising and rounds:
                    anew.append(verdict.scenario)
                else:
                    yield verdict
            if anew:
                print(f"conformance: judged anew, alone: {', '.join(each.name for each in anew)}", file=sys.stderr)
            group = anew


async def _judge(
    scenarios: Sequence[Scenario], servers: Sequence[str], this: Round, *, tight: bool
) -> AsyncIterator[Verdict]:
    if not scenarios:
        return
    async with AsyncExitStack() as stack:
        channels = await asyncio.gather(*(stack.enter_async_context(serve(kind, tight=tight)) for kind in servers))
        places = asyncio.Semaphore(this.at_once)

        async def run(scenario: Scenario) -> Verdict:
            async with places:
                wires = [Wire(channel, scenario.name) for channel in channels]
                told = await asyncio.gather(
                    *(tell(wire, scenario.body, SCENARIO_LIMIT_S, this.rest_s) for wire in wires)
                )
                return Verdict(scenario, servers, told)

        for verdict in asyncio.as_completed([run(each) for each in scenarios]):
            yield await verdict
