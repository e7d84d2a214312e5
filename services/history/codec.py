"""Runs in memory to rows in the store, and back. Entries of a run's maps are rows of their own."""

from collections.abc import Iterable

from services.history.core.apply import Item
from services.history.core.decision import Decision
from services.history.core.entries import Entries
from services.history.core.run import Run, copy_of
from services.history.core.sizes import entries_bytes, entries_of
from services.persistence import HistoryBatch, ItemKind, ItemWrite, RunRecord, RunWrite
from services.protos.run_pb2 import Activity, Buffered, Callback, Child, External, RunInfo, Timer, Update, WorkflowTask

PRESENT = b"\x01"  # the blob of an entry that is nothing but its key


def run_write(run_id: str, stored_version: int, decision: Decision) -> RunWrite:
    """The run's part of the commit that makes `decision` true."""
    return RunWrite(
        run_id=run_id,
        expected_version=stored_version,
        version=stored_version + 1,
        blob=_stored_info(decision.run.info).SerializeToString(),
        items=tuple(_item_writes(decision)),
        batches=tuple(
            HistoryBatch(first_event_id=b.first_event_id, next_event_id=b.next_event_id, blob=b.blob)
            for b in decision.batches
        ),
    )


def _stored_info(info: RunInfo) -> RunInfo:
    """A speculative workflow task is never in the store: it goes with the updates that it was made for."""
    if info.task.kind != WorkflowTask.SPECULATIVE:
        return info
    stored = copy_of(info)
    stored.ClearField("task")
    return stored


def _item_writes(decision: Decision) -> Iterable[ItemWrite]:
    run = decision.run
    maps = entries_of(run)
    for item, key in decision.changes:
        if item == Item.SIGNAL_REQUEST:
            yield ItemWrite(kind=ItemKind.SIGNAL_REQUEST, item_id=str(key), blob=PRESENT)
            continue
        entry = maps[item].get(key)
        blob = None if entry is None else entry.SerializeToString()
        yield ItemWrite(kind=ItemKind(item), item_id=str(key), blob=blob)


def run_of(record: RunRecord) -> Run:
    """The run a record holds."""
    run = Run(RunInfo.FromString(record.blob))
    for kind, item_id, blob in record.items:
        match kind:
            case ItemKind.ACTIVITY:
                activity = Activity.FromString(blob)
                run.activities[activity.scheduled_event_id] = activity
                run.activity_ids[activity.activity_id] = activity.scheduled_event_id
            case ItemKind.TIMER:
                run.timers[item_id] = Timer.FromString(blob)
            case ItemKind.CHILD:
                run.children[int(item_id)] = Child.FromString(blob)
            case ItemKind.EXTERNAL_SIGNAL:
                run.signals[int(item_id)] = External.FromString(blob)
            case ItemKind.EXTERNAL_CANCEL:
                run.cancels[int(item_id)] = External.FromString(blob)
            case ItemKind.SIGNAL_REQUEST:
                run.signal_requests.add(item_id)
            case ItemKind.BUFFERED:
                run.buffered[int(item_id)] = Buffered.FromString(blob)
            case ItemKind.UPDATE:
                run.updates[item_id] = Update.FromString(blob)
            case ItemKind.CALLBACK:
                run.callbacks[int(item_id)] = Callback.FromString(blob)
    run.buffered = Entries(sorted(run.buffered.items()))
    run.callbacks = Entries(sorted(run.callbacks.items()))
    run.open_updates = {key: None for key, update in run.updates.items() if not update.completed_event_id}
    run.entries_bytes = entries_bytes(run)
    return run
