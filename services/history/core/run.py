"""The state of one workflow run: what a fold of its events, and of the attempts at its tasks, leaves in memory.

Everything inside is treated as an immutable value: a `Draft` forks the run, replaces entries in the fork, and the shell
swaps the fork in once it is committed. A run that was handed out is never changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.update.v1 import Request as UpdateRequest

from services.history.core.entries import Entries
from services.history.core.growing_set import GrowingSet
from services.protos.run_pb2 import Activity, Buffered, Callback, Child, External, RunInfo, Timer, Update

M = TypeVar("M", bound=Message)

RUNNING = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
PAUSED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED


@dataclass(frozen=True, slots=True)
class AdmittedUpdate:
    """An update that no event speaks of yet. It lives in memory only; losing it costs the caller a retry.

    `sent_event_id` is the started event id of the workflow task that carries it, 0 while it waits for one.
    """

    request: UpdateRequest
    sent_event_id: int = 0


@dataclass(slots=True)
class Run:
    """One run. Maps are keyed by what later events and commands call their entries by."""

    info: RunInfo
    activities: Entries[int, Activity] = field(default_factory=Entries)  # by scheduled event id
    activity_ids: Entries[str, int] = field(default_factory=Entries)  # activity id -> scheduled event id
    timers: Entries[str, Timer] = field(default_factory=Entries)  # by timer id
    children: Entries[int, Child] = field(default_factory=Entries)  # by initiated event id
    signals: Entries[int, External] = field(default_factory=Entries)  # by initiated event id
    cancels: Entries[int, External] = field(default_factory=Entries)  # by initiated event id
    signal_requests: GrowingSet = field(default_factory=GrowingSet)  # request ids of signals
    buffered: Entries[int, Buffered] = field(default_factory=Entries)  # events that wait for a task to end, in order
    updates: Entries[str, Update] = field(default_factory=Entries)  # accepted and completed, by update id
    open_updates: dict[str, None] = field(default_factory=dict)  # ids of those that have not completed, in order
    callbacks: Entries[int, Callback] = field(default_factory=Entries)  # by number, from 1 on
    admitted: dict[str, AdmittedUpdate] = field(default_factory=dict)  # volatile, by update id
    entries_bytes: int = 0  # what the entries of all maps take in the store
    closing: bool = False  # volatile: the last workflow task tried to close the run over what it had not seen
    build_id: str | None = None  # whose last completion is in the search attributes; None: look
    agenda: list[tuple[int, int, int | str]] | None = None  # a heap of what time will do, replaced whole; None: look

    @property
    def is_open(self) -> bool:
        return self.info.status in (RUNNING, PAUSED)

    @property
    def is_running(self) -> bool:
        """Who waits for what comes next waits for a running run; a paused one tells what there is. (the reference's)"""
        return self.info.status == RUNNING

    @property
    def is_paused(self) -> bool:
        return self.info.status == PAUSED

    @property
    def is_closing(self) -> bool:
        """A worker is about to close the run for the second time: nothing more may come in its way."""
        return self.closing and bool(self.info.task.started_event_id)

    def fork(self) -> "Run":
        """A copy that can be changed without changing this one. Entries are shared: they are replaced, not changed."""
        return Run(
            copy_of(self.info),
            self.activities.fork(),
            self.activity_ids.fork(),
            self.timers.fork(),
            self.children.fork(),
            self.signals.fork(),
            self.cancels.fork(),
            self.signal_requests.fork(),
            self.buffered.fork(),
            self.updates.fork(),
            self.open_updates.copy(),
            self.callbacks.fork(),
            self.admitted.copy(),
            self.entries_bytes,
            self.closing,
            self.build_id,
            self.agenda,
        )

    def activity_by_id(self, activity_id: str) -> Activity | None:
        """The pending activity with that id."""
        scheduled_event_id = self.activity_ids.get(activity_id)
        return None if scheduled_event_id is None else self.activities.get(scheduled_event_id)


def copy_of(message: M) -> M:
    """A copy that may be changed."""
    clone = type(message)()
    clone.CopyFrom(message)
    return clone


def copy_fields(source: Message, target: Message, names: Iterable[str]) -> None:
    """Copies the named message fields that are set in `source`."""
    for name in names:
        if source.HasField(name):
            getattr(target, name).CopyFrom(getattr(source, name))
