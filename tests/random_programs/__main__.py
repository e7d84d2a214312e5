"""`python -m tests.random_programs`: play random programs on both servers and print which differ, and where."""

import argparse
import asyncio
import sys
import time

from tests.conformance.servers import SERVERS
from tests.processes import ProcessDiedError
from tests.random_programs.judging import AT_ONCE_MAX, bench, told
from tests.random_programs.program import Program
from tests.random_programs.shrink import shrink


def main() -> int:
    """0 when no program differs."""
    options = argparse.ArgumentParser(prog="python -m tests.random_programs", description=__doc__)
    options.add_argument("--seeds", type=int, default=200, metavar="N", help="how many (%(default)s)")
    options.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (%(default)s)")
    options.add_argument("--without", default="", metavar="STEPS", help="leave out these steps, as 3,7")
    options.add_argument("--against", default="official,perdure", help="servers, oracle first (%(default)s)")
    options.add_argument("--at-once", type=int, default=AT_ONCE_MAX, metavar="N", help="at a time (%(default)s)")
    options.add_argument("--shrink", action="store_true", help="look for the fewest steps that still differ")
    options.add_argument("--verbose", action="store_true", help="print whole transcripts")
    chosen = options.parse_args()
    if unknown := set(chosen.against.split(",")) - set(SERVERS):
        options.error(f"--against: unknown server {', '.join(unknown)}; expected {', '.join(SERVERS)}")
    try:
        return asyncio.run(_run(chosen))
    except (ProcessDiedError, TimeoutError) as error:
        print(f"random programs: {error}", file=sys.stderr)
        return 2


async def _run(chosen: argparse.Namespace) -> int:
    without = [int(step) for step in chosen.without.split(",") if step]
    programs = [Program.of(seed, without) for seed in range(chosen.first, chosen.first + chosen.seeds)]
    began, differing = time.monotonic(), []
    async with bench(chosen.against.split(",")) as judge:
        async for program, verdict in judge.judge_all(programs, chosen.at_once):
            if chosen.verbose:
                for server, transcript in zip(verdict.servers, verdict.transcripts, strict=True):
                    print("\n".join([f"==== seed {program.seed} on {server}", *transcript.render()]))
            if not verdict.agrees:
                differing.append(program.seed)
                if chosen.shrink:
                    program, verdict = await shrink(judge, program, verdict)
                print(f"==== {told(program, verdict)}", flush=True)
    took_s = time.monotonic() - began
    print(f"random programs: {len(programs)} seeds in {took_s:.0f} s, {len(differing)} differ {differing or ''}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
