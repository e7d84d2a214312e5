"""What must hold of a load once it is over: everything that was acknowledged is in the histories, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice import v1 as api

from tests.cluster.calls import Caller
from tests.cluster.load import Load
from tests.simulation.program import value_of
from tests.unit.history.invariants import commands_stand_together, ids_are_contiguous, references_hold

STARTED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
SIGNALED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
READ_AT_ONCE: Final = 16
LISTED_S_MAX: Final = 20.0  # from the end of a run until lists say so, after an outage
QUIET_S_MAX: Final = 150.0  # timers of 20 s, activities of 2 minutes from their schedule to their end
RUNNING: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING


@dataclass(slots=True)
class Story:
    """One run."""

    workflow_id: str
    run_id: str
    events: list[HistoryEvent] = field(default_factory=list)

    @property
    def end(self) -> str:
        """How it closed, as results and statuses call it; WORKFLOW_TASK_COMPLETED and the like when it has not."""
        return EventType.Name(self.events[-1].event_type).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_")

    @property
    def next_run_id(self) -> str:
        event = self.events[-1]
        return getattr(getattr(event, event.WhichOneof("attributes") or ""), "new_execution_run_id", "")


class Audit:
    """Reads back all workflows of a load, children too, through the API, with a patient caller."""

    def __init__(self, caller: Caller, load: Load, listed_s_max: float = LISTED_S_MAX) -> None:
        self._caller, self._ledger, self._listed_s_max = caller, load.ledger, listed_s_max
        self._query = f"WorkflowId STARTS_WITH '{load.prefix}'"
        self.violations: list[str] = []
        self.stories: dict[str, Story] = {}  # by run id

    async def everything(self) -> None:
        """To be called when the load has finished; waits until children have ended too."""
        listed = await self._when_quiet()
        limit = asyncio.Semaphore(READ_AT_ONCE)

        async def read(workflow_id: str, run_id: str) -> None:
            async with limit:
                self.stories[run_id] = Story(workflow_id, run_id, await self._events(workflow_id, run_id))

        await asyncio.gather(*(read(workflow_id, run_id) for run_id, (workflow_id, _) in listed.items()))
        for story in self.stories.values():
            self._check_story(story)
        self._check_starts()
        self._check_signals()
        self._check_answers()
        self._check_results()
        self._check_lists(listed)

    async def _when_quiet(self) -> dict[str, tuple[str, int]]:
        """What lists say when they say that nothing runs any more: workflow id and status by run id."""
        loop = asyncio.get_running_loop()
        until = loop.time() + QUIET_S_MAX
        quiet_since: float | None = None
        while True:
            listed, twice = await self._list()
            running = [workflow_id for workflow_id, status in listed.values() if status == RUNNING]
            if running and loop.time() > until:
                self.violations.append(f"these do not end: {sorted(running)}")
                return listed
            quiet_since = None if running else quiet_since or loop.time()
            unlisted = {run for runs in self._ledger.starts.values() for run in runs} - listed.keys()
            if quiet_since and (not unlisted or loop.time() - quiet_since > self._listed_s_max):
                if twice:
                    self.violations.append(f"listed twice, though nothing changes any more: {twice}")
                return listed
            await asyncio.sleep(1)

    async def _list(self) -> tuple[dict[str, tuple[str, int]], list[str]]:
        """And the run ids that were there more than once: with several pages, a run that closes meanwhile may be."""
        listed: dict[str, tuple[str, int]] = {}
        twice: list[str] = []
        request = api.ListWorkflowExecutionsRequest(namespace="default", page_size=1000, query=self._query)
        while True:
            page = await self._caller.call(request, api.ListWorkflowExecutionsResponse)
            for info in page.executions:
                if info.execution.run_id in listed:
                    twice.append(info.execution.run_id)
                listed.setdefault(info.execution.run_id, (info.execution.workflow_id, info.status))
            if not page.next_page_token:
                return listed, twice
            request.next_page_token = page.next_page_token

    async def _events(self, workflow_id: str, run_id: str) -> list[HistoryEvent]:
        events: list[HistoryEvent] = []
        request = api.GetWorkflowExecutionHistoryRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        )
        while True:
            page = await self._caller.call(request, api.GetWorkflowExecutionHistoryResponse)
            events.extend(page.history.events)
            if not page.next_page_token:
                return events
            request.next_page_token = page.next_page_token

    def _check_story(self, story: Story) -> None:
        try:
            ids_are_contiguous(story.events)
            references_hold(story.events)
            commands_stand_together(story.events)
        except AssertionError as error:
            self.violations.append(f"{story.workflow_id}/{story.run_id}: {error}")
        if story.next_run_id and story.next_run_id not in self.stories:
            self.violations.append(f"{story.workflow_id}: run {story.next_run_id} follows and is not listed")

    def _check_starts(self) -> None:
        firsts: Counter[str] = Counter()
        for story in self.stories.values():
            started = story.events[0].workflow_execution_started_event_attributes
            if not started.HasField("parent_workflow_execution"):
                firsts[story.workflow_id] += started.first_execution_run_id == story.run_id
        self._missing("starts", {run for runs in self._ledger.starts.values() for run in runs}, self.stories)
        doubled = [workflow_id for workflow_id, count in firsts.items() if count > 1]
        if doubled:
            self.violations.append(f"started more than once: {doubled}")

    def _check_signals(self) -> None:
        seen: set[str] = set()
        for story in self.stories.values():
            ids = Counter(
                value_of(event.workflow_execution_signaled_event_attributes.input)
                for event in story.events
                if event.event_type == SIGNALED
            )
            seen |= ids.keys()
            doubled = [signal for signal, count in ids.items() if count > 1 and signal in self._ledger.sent_signals]
            if doubled:
                self.violations.append(f"{story.workflow_id}/{story.run_id} has signals more than once: {doubled}")
        self._missing("signals", self._ledger.signals, seen)

    def _check_answers(self) -> None:
        tasks: set[tuple[str, int]] = set()
        activities: set[tuple[str, str]] = set()
        updates: set[str] = set()
        for story in self.stories.values():
            for event in story.events:
                attributes = getattr(event, event.WhichOneof("attributes") or "")
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                    tasks.add((story.run_id, attributes.started_event_id))
                elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                    scheduled = story.events[attributes.scheduled_event_id - 1]
                    activities.add((story.run_id, scheduled.activity_task_scheduled_event_attributes.activity_id))
                elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                    updates.add(attributes.meta.update_id)
        self._missing("completions of workflow tasks", self._ledger.workflow_tasks, tasks)
        self._missing("completions of activities", self._ledger.activities, activities)
        self._missing("updates", self._ledger.updates, updates)

    def _check_results(self) -> None:
        ends: dict[str, set[str]] = {}
        for story in self.stories.values():
            ends.setdefault(story.workflow_id, set()).add(story.end)
        for workflow_id, result in self._ledger.results.items():
            if result not in ends.get(workflow_id, ()):
                self.violations.append(f"{workflow_id}: a client saw {result}, histories end {ends.get(workflow_id)}")

    def _check_lists(self, listed: dict[str, tuple[str, int]]) -> None:
        for run_id, (workflow_id, status) in listed.items():
            shown = WorkflowExecutionStatus.Name(WorkflowExecutionStatus.ValueType(status))
            end = self.stories[run_id].end
            if shown != f"WORKFLOW_EXECUTION_STATUS_{end}":
                self.violations.append(f"{workflow_id}/{run_id} is listed as {shown}, and its history ends {end}")

    def _missing(self, what: str, acknowledged: Iterable[object], stored: Iterable[object]) -> None:
        lost = set(acknowledged) - set(stored)
        if lost:
            self.violations.append(f"{len(lost)} {what} were acknowledged and are lost: {list(lost)[:20]}")
