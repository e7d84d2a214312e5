"""`python -m tests.conformance`: run the scenarios on both servers and print where they differ."""

import argparse
import asyncio
import fnmatch
import sys
from collections.abc import Sequence

from tests.conformance.judge import Verdict, judge
from tests.conformance.registry import Scenario, all_scenarios
from tests.conformance.servers import SERVERS
from tests.processes import ProcessDiedError


def main() -> int:
    """0 when every difference is a known one."""
    options = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    options.add_argument("--only", action="append", metavar="NAME", help="a scenario, subject or pattern; repeatable")
    options.add_argument("--against", default="official,perdure", help="servers, oracle first (default: %(default)s)")
    options.add_argument("--verbose", action="store_true", help="print whole transcripts")
    options.add_argument("--brief", action="store_true", help="print of each scenario only where it first differs")
    options.add_argument("--list", action="store_true", help="print the scenarios and run none")
    chosen = options.parse_args()
    servers = chosen.against.split(",")
    if unknown := set(servers) - set(SERVERS):
        options.error(f"--against: unknown server {', '.join(unknown)}; expected {', '.join(SERVERS)}")
    scenarios = _select(chosen.only)
    if not scenarios:
        options.error(f"--only: no scenario matches {', '.join(chosen.only)}")
    if chosen.list:
        print("\n".join(f"{each.subject:20} {each.name}" for each in scenarios))
        return 0
    try:
        return asyncio.run(_report(scenarios, servers, chosen))
    except (ProcessDiedError, TimeoutError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


def _select(patterns: Sequence[str] | None) -> list[Scenario]:
    everything = all_scenarios().values()
    if patterns is None:
        return list(everything)
    return [each for each in everything if any(fnmatch.fnmatch(each.name, p) or each.subject == p for p in patterns)]


async def _report(scenarios: Sequence[Scenario], servers: Sequence[str], chosen: argparse.Namespace) -> int:
    verdicts: list[Verdict] = []
    async for verdict in judge(scenarios, servers):
        verdicts.append(verdict)
        if chosen.verbose:
            for server, transcript in zip(servers, verdict.transcripts, strict=True):
                print("\n".join([f"==== {verdict.scenario.name} on {server}", *transcript.render()]))
        if verdict.surprising:
            print(f"==== {verdict.brief() if chosen.brief else verdict.surprising}", flush=True)
        elif verdict.known:
            print(f"==== {verdict.scenario.name} differs, known: {verdict.known}")
    agree = sum(verdict.agrees for verdict in verdicts)
    print(f"conformance: {len(verdicts)} scenarios, {agree} agree, {len(verdicts) - agree} differ")
    return 1 if any(verdict.surprising for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
