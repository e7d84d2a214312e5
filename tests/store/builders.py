"""Commits to test with. Every blob tells what it belongs to, so that a mix-up shows."""

from temporalio.api.enums.v1 import IndexedValueType as Type

from services.persistence import (
    Commit,
    CurrentRecord,
    CurrentWrite,
    HistoryBatch,
    ItemKind,
    ItemWrite,
    RunWrite,
    SearchAttributeTypes,
    ShardRecord,
    TaskCategory,
    TaskRow,
    VisibilityRecord,
)

NAMESPACE = "11111111-1111-1111-1111-111111111111"

TYPES: SearchAttributeTypes = {
    "Word": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "my-attr": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalScheduledById": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "Story": Type.INDEXED_VALUE_TYPE_TEXT,
    "Number": Type.INDEXED_VALUE_TYPE_INT,
    "Double": Type.INDEXED_VALUE_TYPE_DOUBLE,
    "Flag": Type.INDEXED_VALUE_TYPE_BOOL,
    "List": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "Time": Type.INDEXED_VALUE_TYPE_DATETIME,
}


def current_of(run_id: str, status: int = 1) -> CurrentRecord:
    return CurrentRecord(
        run_id=run_id,
        create_request_id=f"request of {run_id}",
        status=status,
        start_time_ns=1_700_000_000_123_456_789,
        first_execution_run_id=f"first of {run_id}",
    )


def batch_of(run_id: str, first_event_id: int, next_event_id: int) -> HistoryBatch:
    blob = f"{run_id} {first_event_id}-{next_event_id}".encode()
    return HistoryBatch(first_event_id=first_event_id, next_event_id=next_event_id, blob=blob)


def task_of(task_id: int, category: TaskCategory = TaskCategory.IMMEDIATE, fire_time_ns: int = 0) -> TaskRow:
    blob = f"task {task_id}".encode()
    return TaskRow(category=category, fire_time_ns=fire_time_ns, task_id=task_id, blob=blob)


def start_of(shard: ShardRecord, workflow_id: str, run_id: str, task_id: int, replaces: str | None = None) -> Commit:
    """The first transaction of a run: version 1, one item, events 1-2, one task, and it becomes the current run."""
    return Commit(
        shard_id=shard.shard_id,
        range_id=shard.range_id,
        namespace_id=NAMESPACE,
        workflow_id=workflow_id,
        runs=[
            RunWrite(
                run_id=run_id,
                expected_version=0,
                version=1,
                blob=f"{run_id} v1".encode(),
                items=[ItemWrite(kind=ItemKind.TIMER, item_id="t1", blob=f"timer of {run_id}".encode())],
                batches=[batch_of(run_id, 1, 3)],
            )
        ],
        current=CurrentWrite(expected_run_id=replaces, record=current_of(run_id)),
        tasks=[task_of(task_id)],
    )


def step_of(shard: ShardRecord, workflow_id: str, run: RunWrite, *tasks: TaskRow) -> Commit:
    """A later transaction of one run, which leaves the current pointer alone."""
    return Commit(
        shard_id=shard.shard_id,
        range_id=shard.range_id,
        namespace_id=NAMESPACE,
        workflow_id=workflow_id,
        runs=[run],
        tasks=tasks,
    )


def visible(
    workflow_id: str, *, run_id: str = "", version: int = 1, start: int = 1, close: int = 0, **attributes: object
) -> VisibilityRecord:
    """A visibility record; times are in seconds since the epoch."""
    return VisibilityRecord(
        namespace_id=NAMESPACE,
        workflow_id=workflow_id,
        run_id=run_id or f"run of {workflow_id}",
        version=version,
        workflow_type="Transfer",
        task_queue="queue",
        status=2 if close else 1,
        start_time_ns=start * 1_000_000_000,
        execution_time_ns=start * 1_000_000_000,
        close_time_ns=close * 1_000_000_000,
        history_length=11,
        blob=b"info of " + workflow_id.encode(),
        search_attributes=attributes,
    )
