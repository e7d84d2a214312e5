"""Single events out of batches, without parsing the events around them.

A worker that schedules thousands of activities at once leaves them in one batch, and each of them asks for its own
event when it starts. So batches of many events are kept for a while, with the places of their events.
"""

from array import array
from collections import OrderedDict

from google.protobuf.internal.decoder import _DecodeVarint  # type: ignore[attr-defined]  # varints have no public name
from temporalio.api.history.v1 import HistoryEvent

from services.history.core.decision import Batch

EVENTS_MIN = 8  # of a batch that is worth keeping
BYTES_MAX = 16 * 1024 * 1024  # of all that is kept


def places(blob: bytes) -> array[int]:
    """Where the events of a serialized History begin; the last entry is where they end."""
    found, position = array("Q"), 0
    while position < len(blob):
        found.append(position)
        assert blob[position] == 0x0A, "a batch holds something else than events"
        size, position = _DecodeVarint(blob, position + 1)
        position += size
    found.append(position)
    return found


class RecentBatches:
    """Committed batches never change, so nothing here is ever wrong; what was not used for longest goes first."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, int], tuple[Batch, array[int]]] = OrderedDict()
        self._by_run: dict[str, list[int]] = {}  # the first event ids of what is kept

    def find(self, run_id: str, event_id: int) -> HistoryEvent | None:
        """None: the event is in no batch that is kept."""
        for first_event_id in self._by_run.get(run_id, ()):
            batch, begins = self._kept[run_id, first_event_id]
            if first_event_id <= event_id < batch.next_event_id:
                self._kept.move_to_end((run_id, first_event_id))
                return _event(batch, begins, event_id)
        return None

    def take(self, run_id: str, batch: Batch, event_id: int) -> HistoryEvent:
        """The event, out of a batch that has it. The batch is kept when it has many."""
        begins = places(batch.blob)
        if len(begins) > EVENTS_MIN and len(batch.blob) <= self._bytes_max:
            self._keep(run_id, batch, begins)
        return _event(batch, begins, event_id)

    def _keep(self, run_id: str, batch: Batch, begins: array[int]) -> None:
        if (run_id, batch.first_event_id) in self._kept:
            return
        self._kept[run_id, batch.first_event_id] = (batch, begins)
        self._by_run.setdefault(run_id, []).append(batch.first_event_id)
        self._bytes += _size(batch, begins)
        while self._bytes > self._bytes_max:
            (old_run_id, first_event_id), old = self._kept.popitem(last=False)
            self._bytes -= _size(*old)
            self._by_run[old_run_id].remove(first_event_id)
            if not self._by_run[old_run_id]:
                del self._by_run[old_run_id]


def _event(batch: Batch, begins: array[int], event_id: int) -> HistoryEvent:
    number = event_id - batch.first_event_id
    _, start = _DecodeVarint(batch.blob, begins[number] + 1)
    event = HistoryEvent.FromString(batch.blob[start : begins[number + 1]])
    assert event.event_id == event_id, f"event {event.event_id} is in the place of {event_id}"
    return event


def _size(batch: Batch, begins: array[int]) -> int:
    return len(batch.blob) + len(begins) * begins.itemsize
