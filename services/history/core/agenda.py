"""What time will do next to the activities and timers of a run, in order, so that nobody has to look at all of them.

A heap of deadlines. An entry whose activity or timer has another deadline by now, or has ended, counts for nothing and
is dropped when it comes up; when such entries are too many, the heap is made anew. Forks of a run share the heap: who
changes it copies it.
"""

import heapq
from collections.abc import Iterable, Iterator

from services.history.core.apply import Item
from services.history.core.deadlines import activity_deadline
from services.history.core.run import Run

Entry = tuple[int, int, int | str]  # the instant, the item, its key
STALE_MIN = 64  # entries that may be stale before it matters


def deadline_of(run: Run, item: int, key: int | str) -> int:
    """When time changes the entry, as it is now; 0: never, or it has ended."""
    if item == Item.ACTIVITY and isinstance(key, int):
        activity = run.activities.get(key)
        return 0 if activity is None else activity_deadline(activity)
    timer = run.timers.get(str(key)) if item == Item.TIMER else None
    return 0 if timer is None else timer.fire_time_ns


def note(run: Run, changes: Iterable[tuple[Item, int | str]]) -> int:
    """Enters what a decision has changed; the earliest of these deadlines, 0 when there is none."""
    changed = [(at_ns, int(item), key) for item, key in changes if (at_ns := deadline_of(run, item, key))]
    if run.agenda is not None and changed:
        agenda = run.agenda.copy()
        for entry in changed:
            heapq.heappush(agenda, entry)
        stale = len(agenda) > 2 * (len(run.activities) + len(run.timers)) + STALE_MIN
        run.agenda = None if stale else agenda
    return min((at_ns for at_ns, _, _ in changed), default=0)


def next_deadline(run: Run) -> int:
    """The earliest deadline of all activities and timers; 0 when there is none."""
    agenda = _made(run)
    if agenda and not _holds(run, agenda[0]):
        agenda = run.agenda = agenda.copy()
        while agenda and not _holds(run, agenda[0]):
            heapq.heappop(agenda)
    return agenda[0][0] if agenda else 0


def due(run: Run, now_ns: int) -> set[tuple[int, int | str]]:
    """Items and keys of the activities and timers whose time has come; they are taken off."""
    agenda, found = _made(run), set[tuple[int, int | str]]()
    if agenda and agenda[0][0] <= now_ns:
        agenda = run.agenda = agenda.copy()
        while agenda and agenda[0][0] <= now_ns:
            entry = heapq.heappop(agenda)
            if _holds(run, entry):
                found.add(entry[1:])
    return found


def _holds(run: Run, entry: Entry) -> bool:
    return deadline_of(run, entry[1], entry[2]) == entry[0]


def _made(run: Run) -> list[Entry]:
    """The heap; of a run that was loaded it is made when it is first needed."""
    if run.agenda is None:
        run.agenda = list(_entries(run))
        heapq.heapify(run.agenda)
    return run.agenda


def _entries(run: Run) -> Iterator[Entry]:
    for scheduled_event_id, activity in run.activities.items():
        at_ns = activity_deadline(activity)
        if at_ns:
            yield at_ns, int(Item.ACTIVITY), scheduled_event_id
    for timer_id, timer in run.timers.items():
        yield timer.fire_time_ns, int(Item.TIMER), timer_id
