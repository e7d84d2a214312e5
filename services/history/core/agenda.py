"""What time will do next to the activities and timers of a run, in order, so that nobody has to look at all of them.

A heap of deadlines. An entry whose activity or timer has another deadline by now, or has ended, counts for nothing and
is dropped when it comes up; when such entries are too many, the heap is made anew.
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
    """Enters what a decision has changed, in a fork of ours; the earliest of these deadlines, 0 when there is none."""
    first_ns = 0
    for item, key in changes:
        at_ns = deadline_of(run, item, key)
        if not at_ns:
            continue
        first_ns = min(first_ns or at_ns, at_ns)
        if run.agenda is not None:
            heapq.heappush(run.agenda, (at_ns, int(item), key))
    if run.agenda is not None and len(run.agenda) > 2 * (len(run.activities) + len(run.timers)) + STALE_MIN:
        run.agenda = None
    return first_ns


def next_deadline(run: Run) -> int:
    """The earliest deadline of all activities and timers of a fork of ours; 0 when there is none."""
    agenda = _made(run)
    while agenda:
        at_ns, item, key = agenda[0]
        if deadline_of(run, item, key) == at_ns:
            return at_ns
        heapq.heappop(agenda)
    return 0


def due(run: Run, now_ns: int) -> set[tuple[int, int | str]]:
    """Items and keys of the activities and timers of a fork of ours whose time has come; they are taken off."""
    agenda, found = _made(run), set[tuple[int, int | str]]()
    while agenda and agenda[0][0] <= now_ns:
        at_ns, item, key = heapq.heappop(agenda)
        if deadline_of(run, item, key) == at_ns:
            found.add((item, key))
    return found


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
