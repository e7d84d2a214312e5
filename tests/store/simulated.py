"""The simulation's store, held to the contract as any other."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.persistence import Commit, Outcome, Store, UnknownOutcome
from tests.simulation.memory import Memory, Suspending


class MemoryBackend:
    """One memory, as long as the backend lives."""

    def __init__(self) -> None:
        self._memory = _Failing()

    async def open(self) -> Store:
        return Suspending.store(self._memory)

    @contextmanager
    def commits_fail(self) -> Iterator[None]:
        self._memory.fails = True
        yield
        self._memory.fails = False


class _Failing(Memory):
    fails = False

    def commit(self, commit: Commit) -> Outcome:
        if self.fails:
            raise UnknownOutcome("nobody says whether it was written")
        return super().commit(commit)
