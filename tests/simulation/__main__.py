"""`python -m tests.simulation`: many seeds, several at a time, each in a process of its own."""

import argparse
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator

from tests.simulation.simulation import Report, Simulation

SHOWN_LINES = 60


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--first", type=int, default=1, help="the first seed")
    options.add_argument("--seeds", type=int, default=1, help="how many")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    options.add_argument("--trace", metavar="FILE", help="where to write the trace of the last seed")
    chosen = options.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of strings are walked in the same order in every process
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    failed, began = 0, time.monotonic()
    for report in run(range(chosen.first, chosen.first + chosen.seeds), chosen.jobs):
        print(f"seed {report.seed}: {report.digest} {report.virtual_s:.0f} s, {report.summary}")
        if chosen.trace:
            with open(chosen.trace, "w") as file:
                file.write("\n".join(report.trace))
        if report.violations:
            failed += 1
            show(report)
    print(f"{chosen.seeds} seeds in {time.monotonic() - began:.0f} s, {failed} failed")
    return 1 if failed else 0


def show(report: Report) -> None:
    print(f"  weather: {report.weather}")
    for line in report.trace[-SHOWN_LINES:]:
        print(f"  {line[:240]}")
    for violation in report.violations[:10]:
        print(f"  VIOLATION: {violation}")
    print(f"  replay: make simulate SEEDS=1 FIRST_SEED={report.seed} TRACE=trace.txt")


def run(seeds: range, jobs: int) -> Iterator[Report]:
    """Reports in the order of their ends."""
    running: dict[int, int] = {}  # read end of a pipe -> process id
    left = iter(seeds)
    import select

    while True:
        while len(running) < jobs and (seed := next(left, None)) is not None:
            end, process = fork(lambda seed=seed: Simulation(seed).run())
            running[end] = process
        if not running:
            return
        for end in select.select(list(running), [], [])[0]:
            with os.fdopen(end, "rb") as pipe:
                payload = pipe.read()
            os.waitpid(running.pop(end), 0)
            yield pickle.loads(payload)


def fork(work: Callable[[], Report]) -> tuple[int, int]:
    read, write = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process:
        os.close(write)
        return read, process
    os.close(read)
    report = work()
    with os.fdopen(write, "wb") as pipe:
        pickle.dump(report, pipe)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
