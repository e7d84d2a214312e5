"""`python -m tests.bench`: ours and the official dev server in alternating rounds, one load generator, one table."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import uvloop

from tests.bench.deployments import compare, deployments
from tests.bench.load import Load
from tests.bench.measure import Sample, drive
from tests.bench.pending import table
from tests.bench.report import render
from tests.bench.servers import OFFICIAL, PERDURE, serve
from tests.parts.cluster import StoreName

LOADS = [Load(1), Load(20), Load(100), Load(20, 10)]
LOADS_QUICK = [Load(1), Load(20), Load(20, 10)]
SERVER_WARM_UP = Load(20)


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each server runs, and how long: warming up once a server, then before the window of each load."""

    rounds: int
    server_warm_up_s: float
    warm_up_s: float
    window_s: float


DEFAULT = Plan(rounds=3, server_warm_up_s=2.0, warm_up_s=1.0, window_s=3.0)
QUICK = Plan(rounds=1, server_warm_up_s=1.0, warm_up_s=0.5, window_s=1.5)
PROFILE = Plan(rounds=1, server_warm_up_s=1.0, warm_up_s=0.0, window_s=5.0)


async def measure(
    names: list[str], loads: list[Load], plan: Plan, profile: Path | None = None
) -> dict[tuple[str, Load], list[Sample]]:
    """All samples of all rounds, by server and load. The first thing that goes wrong is raised."""
    samples: dict[tuple[str, Load], list[Sample]] = {(name, load): [] for load in loads for name in names}
    for turn in range(plan.rounds):
        for name in names:
            async with serve(name, profile) as server:
                await drive(server, SERVER_WARM_UP, warm_up_s=0.0, window_s=plan.server_warm_up_s)
                for load in loads:
                    sample = await drive(server, load, warm_up_s=plan.warm_up_s, window_s=plan.window_s)
                    samples[name, load].append(sample)
                    progress = f"round {turn + 1}/{plan.rounds}  {name:8}  {load!s:>5} at once"
                    print(f"{progress}  {sample.throughput:8.2f} workflows/s", file=sys.stderr)
    return samples


def main(arguments: list[str] | None = None) -> None:
    """Print the table and the last line. Whatever goes wrong is raised, and no figures are printed."""
    options = _parse(arguments)
    if options.pending:
        print(table())
        return
    if options.store or options.cluster:
        print(compare(deployments(options.store, cluster=options.cluster), options.loads, quick=options.quick))
        return
    plan = PROFILE if options.profile else QUICK if options.quick else DEFAULT
    names = [options.only] if options.only else [OFFICIAL, PERDURE]
    loads = options.loads or (LOADS_QUICK if options.quick else LOADS)
    samples = uvloop.run(measure(names, loads, plan, options.profile))
    print(render(samples))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Drive Perdure and the official dev server in turn with one load, and compare them.",
        epilog="Data files live in the temporary directory (TMPDIR): the disk under it is part of what is measured.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, about half a minute: a smoke test")
    parser.add_argument("--only", choices=[OFFICIAL, PERDURE], help="run one server; the last line has its figures")
    parser.add_argument("--loads", type=_loads, help="workflows at once, such as 1,20 or 20x10 (ten activities each)")
    parser.add_argument("--pending", action="store_true", help="what a step of one run costs, by what is pending in it")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="one round of Perdure alone, under cProfile")
    parser.add_argument("--store", choices=get_args(StoreName), help="all services in one process on this store")
    parser.add_argument("--cluster", action="store_true", help="a cluster, with 1 and with 3 history hosts")
    options = parser.parse_args(arguments)
    if options.profile:
        if options.only == OFFICIAL:
            parser.error("--profile is for Perdure: leave out --only official")
        options.only = PERDURE
    return options


def _loads(text: str) -> list[Load]:
    try:
        return [Load.parse(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    main()
