"""What stands in ZooKeeper: one ephemeral node per member under `ROOT/members/SERVICE`, whose name says everything.

So one read of the children is a consistent view of all members, whatever their number, and a change of state is one
transaction that takes one name away and puts another there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.config import ServiceName
from services.membership.ring import Member, MemberState, Ring


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration. `life` names the process and sorts by its birth; `started` is new at each registration."""

    address: str
    state: MemberState
    started: int
    life: str

    @property
    def name(self) -> str:
        return f"{self.address},{self.state},{self.started},{self.life}"


def parse(name: str) -> Entry | None:
    """The entry of that name; None for what no version up to this one writes. Later ones may add fields at the end."""
    address, *rest = name.split(",")
    if len(rest) < 3 or not rest[1].isdecimal() or not address:
        return None
    try:
        return Entry(address, MemberState(rest[0]), int(rest[1]), rest[2])
    except ValueError:
        return None


def life(birth_ms: int, unique: str) -> str:
    """A name for one process; among those of one address, the greatest is the newest."""
    return f"{birth_ms:012x}-{unique[:8]}"


def ring_of(service: ServiceName, entries: Iterable[Entry]) -> Ring:
    """The ring of these entries; of several lives of one address the newest counts."""
    newest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.life, entry.started)):
        newest[entry.address] = entry
    return Ring(Member(service, entry.address, entry.state, entry.started) for entry in newest.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write so that a process is listed as it wants to be; `rival` is a newer life that has the address."""

    delete: tuple[Entry, ...] = ()
    create: Entry | None = None
    rival: Entry | None = None


def plan(present: Iterable[Entry], wanted: Entry | None, own_life: str) -> Plan:
    """From what is listed in one service to what `own_life` wants there. A rival is never taken down."""
    entries = list(present)
    outdated = [entry for entry in entries if entry.life == own_life and entry != wanted]
    if wanted is None:
        return Plan(delete=tuple(outdated))
    others = [entry for entry in entries if entry.address == wanted.address and entry.life != own_life]
    rival = max(others, key=lambda entry: entry.life, default=None)
    if rival is not None and rival.life > own_life:
        own = tuple(entry for entry in entries if entry.life == own_life)
        return Plan(delete=own, rival=rival)
    return Plan(delete=(*outdated, *others), create=None if wanted in entries else wanted)
