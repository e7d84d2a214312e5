"""How large a run is in the store: kept up to date by what each decision changes, never counted anew."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from services.history.core.apply import Changes, Item
from services.history.core.run import Run


def entries_of(run: Run) -> dict[Item, Mapping[Any, Message]]:
    """The maps of a run whose entries are messages."""
    return {
        Item.ACTIVITY: run.activities,
        Item.TIMER: run.timers,
        Item.CHILD: run.children,
        Item.EXTERNAL_SIGNAL: run.signals,
        Item.EXTERNAL_CANCEL: run.cancels,
        Item.BUFFERED: run.buffered,
        Item.UPDATE: run.updates,
        Item.CALLBACK: run.callbacks,
    }


def entries_bytes(run: Run) -> int:
    """Of all entries; a pass over them."""
    signals = sum(len(request_id) for request_id in run.signal_requests)
    return signals + sum(entry.ByteSize() for entries in entries_of(run).values() for entry in entries.values())


def changed_bytes(before: Run, after: Run, changes: Changes) -> int:
    """How much the changed entries have grown."""
    if not changes:
        return 0
    old, new, grown = entries_of(before), entries_of(after), 0
    for item, key in changes:
        if item == Item.SIGNAL_REQUEST:
            grown += 0 if str(key) in before.signal_requests else len(str(key))
            continue
        for entries, sign in ((old[item], -1), (new[item], 1)):
            entry = entries.get(key)
            if entry is not None:
                grown += sign * entry.ByteSize()
    return grown
