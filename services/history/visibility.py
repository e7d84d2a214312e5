"""From commits to what lists show: batches of records, written soon after, the newest state of each run only."""

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType

from services.errors import NotFound, ServiceError, Unavailable
from services.history.cache import RunEntry
from services.history.describe import execution_info
from services.history.engine import Engine
from services.history.outbox import Key
from services.history.shard import Shard
from services.persistence import (
    SearchAttributeTypes,
    StoreError,
    StoreUnavailable,
    TaskCategory,
    UnknownOutcome,
    VisibilityRecord,
)
from services.persistence.visibility_values import datetime_ns
from services.protos.run_pb2 import Task
from services.runtime import TimerHandle

logger = logging.getLogger(__name__)

DELAY_S = 0.01  # in which the writes of many runs, and many writes of one, become one
RETRY_DELAY_S = 1.0
APART_S, APART_MAX = 10.0, 100  # how often, and how many, are tried one by one

Shown = tuple[Shard, Key, Task]


class VisibilityWriter:
    """Collects UPDATE_VISIBILITY tasks and writes their runs' records. A failed batch is tried again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[Shown] = []
        self._apart: list[Shown] = []  # those that could not be written although others could
        self._apart_due = False
        self._alarm: TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def show(self, shard: Shard, key: Key, task: Task) -> None:
        self._waiting.append((shard, key, task))
        self._set_alarm(DELAY_S)

    def _set_alarm(self, delay_s: float) -> None:
        if self._alarm is None and self._writing is None:
            self._alarm = self._engine.clock.call_later(delay_s, self._start)

    def _start(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._writing = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        batch, self._waiting = self._waiting, []
        delay_s = DELAY_S
        try:
            if again := await self._write_all(batch):
                self._waiting, delay_s = again + self._waiting, RETRY_DELAY_S
            if self._apart_due:
                self._apart_due = False
                await self._write_apart()
        finally:
            self._writing = None
            if self._waiting or self._apart_due:
                self._set_alarm(delay_s)

    async def _write_all(self, batch: list[Shown]) -> list[Shown]:
        """Returns those that are to be tried again together. One that cannot be written must not keep the others from
        it: when it is not the store that is away, it is looked for, and tried apart from then on."""
        batch = [shown for shown in batch if not shown[0].stopped]
        if not batch:
            return []
        try:
            await self._write_some(batch)
        except Exception as error:
            _tell(error, len(batch))
            if not _may_be_one(error) or len(self._apart) >= APART_MAX:
                return batch
            if len(batch) == 1:
                self._set_apart(batch[0])
                return []
            half = len(batch) // 2
            return await self._write_all(batch[:half]) + await self._write_all(batch[half:])
        return []

    def _set_apart(self, shown: Shown) -> None:
        if not self._apart:
            self._engine.clock.call_later(APART_S, self._try_apart)
        self._apart.append(shown)

    def _try_apart(self) -> None:
        self._apart_due = True
        self._set_alarm(0)

    async def _write_apart(self) -> None:
        apart, self._apart = self._apart, []
        for shown in apart:
            if not shown[0].stopped:
                try:
                    await self._write_some([shown])
                except Exception as error:
                    _tell(error, 1)
                    self._set_apart(shown)

    async def _write_some(self, batch: Sequence[Shown]) -> None:
        await self._engine.store.upsert_visibility(await self._records([task for _, _, task in batch]))
        for shard, key, _ in batch:
            shard.done(TaskCategory.VISIBILITY, key)

    async def _records(self, tasks: Iterable[Task]) -> list[VisibilityRecord]:
        """One of each run that is not deleted. Attributes that only other hosts know as yet are not left out."""
        entries: dict[str, RunEntry] = {}
        attributes: dict[str, set[str]] = {}
        for task in tasks:
            try:
                entry = await self._engine.run(self._engine.workflow(task.namespace_id, task.workflow_id), task.run_id)
            except NotFound:
                continue
            self._engine.metrics.outbox.shown(entry.run)
            entries[task.run_id] = entry
            attributes.setdefault(task.namespace_id, set()).update(entry.run.info.search_attributes.indexed_fields)
        having = self._engine.namespaces.having
        types = {each: (await having(each, names)).search_attribute_types for each, names in attributes.items()}
        return [visibility_record(entry, types[entry.run.info.namespace_id]) for entry in entries.values()]

    async def hide(self, namespace_id: str, run_id: str) -> None:
        """Takes a run off the lists for good. It must be deleted by now: only a batch that is being written knows it.
        Raises what the store raises."""
        await self._written()
        await self._engine.store.delete_visibility(namespace_id, run_id)

    async def _written(self) -> None:
        """Waits for the batch that is being written, without being able to cancel it."""
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def drain(self) -> None:
        """Writes what is waiting."""
        await self._written()
        if self._waiting:
            self._start()
            await self._written()


def _may_be_one(error: Exception) -> bool:
    """Whether one record may be the reason, and not the store, or a shard that goes."""
    return not isinstance(error, StoreUnavailable | UnknownOutcome | Unavailable)


def _tell(error: Exception, count: int) -> None:
    expected = isinstance(error, ServiceError | StoreError | UnknownOutcome)
    level = logging.WARNING if expected else logging.ERROR
    logger.log(level, "%d visibility records were not written and are tried again", count, exc_info=error)


NOT_LISTED: Final = (
    "most_recent_worker_version_stamp",
    "auto_reset_points",
    "versioning_info",
    "first_run_id",
    "parent_namespace_id",
    "priority",
)
ONLY_CLOSED: Final = ("history_length", "history_size_bytes", "state_transition_count")


def visibility_record(entry: RunEntry, types: SearchAttributeTypes) -> VisibilityRecord:
    """What lists show of a run as it is now."""
    info = entry.run.info
    described = execution_info(entry.run)
    closed = bool(info.close_time_ns)
    for name in NOT_LISTED if closed else NOT_LISTED + ONLY_CLOSED:
        described.ClearField(name)
    return VisibilityRecord(
        namespace_id=info.namespace_id,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        version=entry.version,
        workflow_type=info.workflow_type,
        task_queue=info.task_queue,
        status=info.status,
        start_time_ns=info.start_time_ns,
        execution_time_ns=info.execution_time_ns,
        close_time_ns=info.close_time_ns,
        parent_workflow_id=info.parent.workflow_id,
        parent_run_id=info.parent.run_id,
        root_workflow_id=info.root.workflow_id,
        root_run_id=info.root.run_id,
        history_length=described.history_length,
        history_bytes=described.history_size_bytes,
        state_transitions=described.state_transition_count,
        blob=described.SerializeToString(),
        search_attributes=searchable(info.search_attributes, types),
    )


def searchable(attributes: SearchAttributes, types: SearchAttributeTypes) -> dict[str, object]:
    """The values as lists compare them. What the namespace has no attribute for any more cannot be searched for."""
    values = {
        name: _value(payload, types[name]) for name, payload in attributes.indexed_fields.items() if name in types
    }
    return {name: value for name, value in values.items() if value is not None}


def _value(payload: Payload, kind: IndexedValueType.ValueType) -> object:
    """None when it was unset, or is nothing that can be compared."""
    try:
        value = json.loads(payload.data)
    except ValueError:
        return None
    if kind == IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        return value if isinstance(value, list) and value else None
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if kind == IndexedValueType.INDEXED_VALUE_TYPE_DATETIME:
        return datetime_ns(value) if isinstance(value, str) else None
    return value
