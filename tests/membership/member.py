"""One member of history as a process of its own: `python -m tests.membership.member HOSTS ROOT ADDRESS SESSION_S`.

Prints a line of JSON for each change of its authority: {"authority", "started" of its registration, "at" monotonic}.
Told "act" on its standard input, it looks at its authority without a pause, letting nothing else run, until that ends.
"""

import asyncio
import json
import sys
import time

from services.membership import ZooKeeperMembership
from services.runtime import SystemChance, SystemClock
from services.telemetry.logging import configure_logging
from tests.membership.watching import section

ACT_S_MAX = 10.0


def say(**facts: object) -> None:
    print(json.dumps({**facts, "at": time.monotonic()}), flush=True)


def act(membership: ZooKeeperMembership) -> None:
    """As an owner that is busy: no timer, message or callback gets its turn, the look at the clock is all there is."""
    say(acting=True)
    looked = begun = time.monotonic()
    wrong = 0
    while looked < begun + ACT_S_MAX:
        before, looked = looked, time.monotonic()
        if not membership.authority:
            break
        wrong += looked - before > 1
    say(wrong_looks=wrong, stopped_s=time.monotonic() - before)


async def main(hosts: str, root: str, address: str, session_s: str) -> None:
    configure_logging(level="info")
    membership = ZooKeeperMembership(section(hosts, root, float(session_s)), SystemClock(), SystemChance())

    def tell(authority: bool) -> None:
        started = [member.started for member in membership.ring("history").members if member.address == address]
        say(authority=authority, started=started)

    membership.watch_authority(tell)
    await membership.start()
    await membership.join("history", address)
    await membership.activate("history")
    while await asyncio.to_thread(sys.stdin.readline):
        act(membership)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
