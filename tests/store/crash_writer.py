"""Commits to the database named on the command line until it is killed; prints what was acknowledged."""

import asyncio
import itertools
import os
import sys

from services.persistence import Outcome, Store
from services.persistence.sqlite import open_sqlite
from tests.store.builders import start_of

COMMITTERS = 8


async def write(path: str, life: int) -> None:
    store: Store = await open_sqlite(path)
    shard = await store.acquire_shard(1, f"life {life}")
    numbers = itertools.count(life * 1_000_000 + 1)

    async def commit_for_ever() -> None:
        for number in numbers:
            run_id = f"run {number}"
            outcome = await store.commit(start_of(shard, f"wf {number}", run_id, number))
            assert outcome is Outcome.COMMITTED, outcome
            os.write(sys.stdout.fileno(), f"{number}\n".encode())

    await asyncio.gather(*[commit_for_ever() for _ in range(COMMITTERS)])


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2])))
