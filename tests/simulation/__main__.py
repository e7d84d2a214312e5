"""Simulates the cluster: many seeds, several at a time. A seed that fails is told with its trace and how to replay it.

Exit code 1 when a seed failed. The same seed gives the same trace; the number after it is the trace's digest.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.simulation.breakages import BREAKAGES
from tests.simulation.processes import run
from tests.simulation.simulation import Report

SHOWN_LINES, SHOWN_WIDTH = 60, 240
HASH_SEED = "PYTHONHASHSEED"  # sets of strings are walked in the same order in every process


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (1)")
    options.add_argument("--seeds", type=int, default=1, metavar="N", help="how many (1)")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time (one per core)")
    options.add_argument("--trace", type=Path, metavar="FILE", help="where to write the trace of the last seed")
    options.add_argument("--break", dest="breakage", choices=BREAKAGES, help="make a mistake, to see it found")
    options.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    chosen = options.parse_args()
    if os.environ.get(HASH_SEED) != "0":
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {HASH_SEED: "0"})
    seeds, began, failed, count = range(chosen.first, chosen.first + chosen.seeds), time.monotonic(), [], 0
    for report in run(seeds, chosen.jobs, BREAKAGES.get(chosen.breakage)):
        count += 1
        print(f"seed {report.seed}: {report.digest} {report.virtual_s:.0f} s, {report.summary}", flush=True)
        if chosen.trace is not None:
            chosen.trace.write_text("\n".join(report.trace) + "\n")
        if report.violations:
            failed.append(report.seed)
            show(report, chosen.breakage)
            if chosen.until_failure:
                break
    print(f"{count} seeds in {time.monotonic() - began:.0f} s, {len(failed)} failed {failed or ''}")
    return 1 if failed else 0


def show(report: Report, breakage: str | None) -> None:
    for line in (f"weather: {report.weather}", *report.trace[-SHOWN_LINES:]):
        print(f"  {line[:SHOWN_WIDTH]}")
    for violation in report.violations[:10]:
        print(f"  VIOLATION: {violation}")
    broken = f" BREAK={breakage}" if breakage else ""
    print(f"  replay: make simulate SEEDS=1 FIRST_SEED={report.seed}{broken} TRACE=trace.txt")


if __name__ == "__main__":
    sys.exit(main())
