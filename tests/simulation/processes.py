"""Seeds in processes of their own: the parent has imported everything, a child has one seed and ends with it."""

import os
import pickle
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from signal import SIGKILL

from tests.simulation.breakages import Breakage
from tests.simulation.simulation import Report, Simulation


def run(seeds: Iterable[int], jobs: int, breakage: Breakage | None = None) -> Iterator[Report]:
    """Reports in the order in which they come. Who stops listening ends what still runs."""
    running: dict[int, int] = {}  # read end of a pipe -> process id
    left = iter(seeds)
    try:
        while True:
            while len(running) < jobs and (seed := next(left, None)) is not None:
                end, process = _fork(partial(_simulate, seed, breakage))
                running[end] = process
            if not running:
                return
            for end in select.select(list(running), [], [])[0]:
                with os.fdopen(end, "rb") as pipe:
                    payload = pipe.read()
                os.waitpid(running.pop(end), 0)
                yield pickle.loads(payload)
    finally:
        for process in running.values():
            with suppress(ProcessLookupError):
                os.kill(process, SIGKILL)
            os.waitpid(process, 0)


def _simulate(seed: int, breakage: Breakage | None) -> Report:
    return Simulation(seed, breakage).run()


def _fork(work: Callable[[], Report]) -> tuple[int, int]:
    """The read end of the pipe on which the report comes, and the process."""
    read, write = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process:
        os.close(write)
        return read, process
    os.close(read)
    status = 1
    try:
        report = work()
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(report, pipe)
        status = 0
    finally:
        os._exit(status)  # what the simulation left behind is not tidied up: it died with its hosts
