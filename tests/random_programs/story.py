"""What a program knows of its workflows while it is played, and how it waits until all is at rest.

A program does one thing at a time and then waits for whatever follows from it (a child that starts, a signal on its
way, an attempt that comes after a back-off). What is done next is chosen from what the server then says, so two correct
servers are told the same, in the same order.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import temporalio.api.workflowservice.v1 as api
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import ParentClosePolicy, PendingActivityState, PendingWorkflowTaskState
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo

from tests.conformance.wire import Stopped, Wire

Description = api.DescribeWorkflowExecutionResponse
WorkflowTask = api.PollWorkflowTaskQueueResponse
ActivityTask = api.PollActivityTaskQueueResponse

FAR_S = 15.0
"""What happens later than this (an attempt after a back-off, a run after its delay) happens after the program."""

REST_LIMIT_S = 15.0
ACTIVITY_SCHEDULED = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
TASK_SCHEDULED = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED


@dataclass
class Flow:
    """One workflow id: the description of its current run, and what workers have in hand."""

    w: Wire
    seen: Description | None = None  # None: no run of it was ever started
    held: WorkflowTask | None = None  # the workflow task that the worker has not answered yet
    in_hand: dict[str, ActivityTask] = field(default_factory=dict)  # activity tasks, by activity id
    short: dict[str, int] = field(default_factory=dict)  # attempts that will time out in a moment, by activity id
    eager: WorkflowTask | None = None  # the first workflow task, that came with the start
    old_tasks: list[WorkflowTask] = field(default_factory=list)  # whose answers come too late
    scheduled: dict[str, int] = field(default_factory=dict)  # event ids of activities that a worker has read of
    waiting: set[str] = field(default_factory=set)  # updates that no worker has answered
    undelivered: bool = False  # an update waits for a workflow task, and may have caused one that nobody sees
    timers: set[str] = field(default_factory=set)
    accepted: list[str] = field(default_factory=list)  # updates whose outcome is still to be told
    updates: list[str] = field(default_factory=list)  # all ids of updates so far
    runs: list[str] = field(default_factory=list)  # in their order
    last_attempt: int = 1  # of the last workflow task that was seen
    begun: set[str] = field(default_factory=set)  # runs that have had a workflow task
    answered: set[str] = field(default_factory=set)  # runs of which a worker has completed a task
    closing: bool = False  # it has tried to close over what its worker had not seen, and may try again
    sticks: bool = False  # the next workflow task goes to the sticky queue
    has_stuck: bool = False
    sticky_poll: "asyncio.Task[WorkflowTask] | None" = None  # of the worker that waits for it there
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def name(self) -> str:
        return self.w.name

    @property
    def exists(self) -> bool:
        return self.seen is not None

    @property
    def run_id(self) -> str:
        return "" if self.seen is None else self.seen.workflow_execution_info.execution.run_id

    @property
    def status(self) -> Status.ValueType:
        return Status.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED if self.seen is None else status_of(self.seen)

    @property
    def status_name(self) -> str:
        return Status.Name(self.status).removeprefix("WORKFLOW_EXECUTION_STATUS_")

    @property
    def is_open(self) -> bool:
        return self.status == Status.WORKFLOW_EXECUTION_STATUS_RUNNING

    @property
    def has_task(self) -> bool:
        return self.seen is not None and self.is_open and self.seen.HasField("pending_workflow_task")

    @property
    def task_waits(self) -> bool:
        """A workflow task waits for a worker."""
        if self.held is not None or self.sticks:
            return False
        return self.undelivered or (
            self.seen is not None and self.has_task and self.seen.pending_workflow_task.state == TASK_SCHEDULED
        )

    @property
    def is_idle(self) -> bool:
        """Its worker has nothing to do, and there is one: a query becomes a task of its own."""
        return self.is_open and self.run_id in self.begun and not self.has_task and not self.undelivered

    @property
    def attempt(self) -> int:
        """Of the pending workflow task."""
        return self.seen.pending_workflow_task.attempt if self.seen is not None and self.has_task else 0

    @property
    def is_impatient(self) -> bool:
        """Its workflow tasks time out while the program waits for it."""
        return self.seen is not None and self.seen.execution_config.default_workflow_task_timeout.seconds < FAR_S

    def activities(self) -> list[PendingActivityInfo]:
        """Those that have not ended, in the order of their ids."""
        pending = self.seen.pending_activities if self.seen is not None and self.is_open else []
        return sorted(pending, key=lambda activity: activity.activity_id)

    def unstarted_activities(self) -> list[PendingActivityInfo]:
        """Those whose next attempt waits for a worker."""
        return [each for each in self.activities() if each.state == ACTIVITY_SCHEDULED and not _backs_off_s(each) > 0]

    def new_id(self, kind: str) -> str:
        return f"{kind}{next(self.numbers)}"

    def take(self, seen: Description | None) -> None:
        """Look at it again. What was in hand for a run that is over is too late."""
        run_id = self.run_id
        self.seen = seen
        if seen is None:
            return
        if self.run_id not in self.runs:
            self.runs.append(self.run_id)
        if seen.HasField("pending_workflow_task"):
            self.begun.add(self.run_id)
        self.last_attempt = max(seen.pending_workflow_task.attempt, self.last_attempt if not self.is_open else 1)
        if self.held is not None and seen.pending_workflow_task.state == TASK_SCHEDULED:
            self.drop_task()
            self.sticks = False
        if self.run_id != run_id or not self.is_open:
            self.drop_task()
            self.undelivered = False
            self.waiting.clear()
            self.timers.clear()
            self.scheduled.clear()
            self.accepted.clear()
            self.sticks = self.closing = False
        if self.eager is not None:
            self.held, self.eager = self.eager, None

    def in_hand_now(self, task: WorkflowTask) -> WorkflowTask:
        """The task without the events that the worker has seen: the transcript tells whole histories at its end."""
        self.undelivered = False
        for event in task.history.events:
            if event.HasField("activity_task_scheduled_event_attributes"):
                self.scheduled[event.activity_task_scheduled_event_attributes.activity_id] = event.event_id
        seen = [event for event in task.history.events if event.event_id <= task.previous_started_event_id]
        del task.history.events[: len(seen)]
        return task

    def take_sticky(self) -> None:
        """A worker that waits at the sticky queue takes a task as soon as it is there."""
        if self.sticky_poll is not None and self.sticky_poll.done():
            task = self.in_hand_now(self.sticky_poll.result())
            self.sticky_poll = None
            self.held = task
            self.w.transcript.settle(self.w.transcript.enter("PollWorkflowTaskQueue (sticky)"), task)

    def drop_task(self) -> None:
        """Whatever the worker says of the task now comes too late."""
        if self.held is not None:
            self.old_tasks.append(self.held)
        self.held = None


@dataclass
class Story:
    """The workflows of one program on one server."""

    w: Wire
    flows: dict[str, Flow]
    policies: dict[tuple[str, str], ParentClosePolicy.ValueType] = field(default_factory=dict)
    is_over: bool = False
    callers: list["asyncio.Task[object]"] = field(default_factory=list)  # of updates, who wait for an answer

    async def look(self, flow: Flow) -> None:
        """Describe a workflow's current run, which is no part of the story."""
        request = api.DescribeWorkflowExecutionRequest(namespace=flow.w.namespace, execution=flow.w.execution())
        try:
            seen = await flow.w.unrecorded(flow.w.rpc.DescribeWorkflowExecution, request)
        except Stopped:
            if flow.exists:
                raise
            return
        flow.take(seen)
        for child in seen.pending_children:
            self.policies[flow.run_id, child.workflow_id] = child.parent_close_policy

    async def rest(self, *touched: Flow) -> None:
        """Wait until nothing is under way. Raises Stopped, with the reason, when that takes too long."""
        reason, nap_s = "", 0.01
        async with _limit(lambda: f"never at rest: {reason}"):
            while True:
                await asyncio.gather(*(self.look(flow) for flow in self._concerned(touched)))
                for flow in self.flows.values():
                    flow.take_sticky()
                reason = next(filter(None, map(self._why_unrest, self.flows.values())), "")
                if not reason:
                    return
                await asyncio.sleep(nap_s)
                nap_s = min(nap_s * 1.5, 0.1)

    def _concerned(self, touched: tuple[Flow, ...]) -> list[Flow]:
        return [flow for flow in self.flows.values() if flow in touched or flow.is_open or self._is_awaited(flow)]

    def _is_awaited(self, flow: Flow) -> bool:
        pending = (each for other in self.flows.values() if other.seen for each in other.seen.pending_children)
        return any(each.workflow_id == flow.name for each in pending)

    def _why_unrest(self, flow: Flow) -> str:
        if flow.seen is None or not flow.is_open:
            return ""
        if flow.run_id not in flow.begun and not _begins_far_away(flow.seen):
            return f"{flow.name} waits for its first task"
        for child in flow.seen.pending_children:
            known = self.flows.get(child.workflow_id)
            if not child.run_id:
                return f"{flow.name} waits for the start of {child.workflow_id}"
            if known is not None and not known.is_open:
                return f"{flow.name} waits for the end of {child.workflow_id}"
        for activity in flow.activities():
            if 0 < _backs_off_s(activity) < FAR_S:
                return f"{flow.name} waits for the next attempt of {activity.activity_id}"
            if flow.short.get(activity.activity_id) == activity.attempt:
                return f"{flow.name} waits for the time-out of {activity.activity_id}"
        if flow.sticks and flow.held is None and (flow.has_task or flow.undelivered):
            return f"{flow.name} waits for its sticky worker"
        if flow.is_impatient and flow.has_task and flow.seen.pending_workflow_task.state != TASK_SCHEDULED:
            return f"{flow.name} waits for the time-out of its workflow task"
        ends_at = flow.seen.workflow_extended_info.run_expiration_time
        if ends_at.seconds > 0 and _in_s(ends_at) < FAR_S:
            return f"{flow.name} waits for its end"
        return self._why_unrest_below(flow, flow.seen)

    def _why_unrest_below(self, flow: Flow, seen: Description) -> str:
        """Its parent is over, and that has consequences."""
        parent_execution = seen.workflow_execution_info.parent_execution
        parent = self.flows.get(parent_execution.workflow_id)
        if parent is None or (parent.is_open and parent.run_id == parent_execution.run_id):
            return ""
        match self.policies.get((parent_execution.run_id, flow.name)):
            case ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE:
                return f"{flow.name} waits for its termination after {parent.name}"
            case ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL if (
                not seen.workflow_extended_info.cancel_requested
            ):
                return f"{flow.name} waits for its cancellation after {parent.name}"
        return ""

    async def until_events(self, flow: Flow, run_id: str, hold: Callable[[list[HistoryEvent]], bool]) -> None:
        """Wait until the events of a run are as they should be."""

        async def look() -> bool:
            return hold(await flow.w.events(run_id=run_id))

        await until(f"{flow.name} has the events it should have", look)


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again; raises Stopped when it takes too long."""
    nap_s = 0.01
    async with _limit(lambda: f"it never came that {what}"):
        while not await holds():
            await asyncio.sleep(nap_s)
            nap_s = min(nap_s * 1.5, 0.1)


@asynccontextmanager
async def _limit(reason: Callable[[], str]) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(REST_LIMIT_S):
            yield
    except TimeoutError:
        raise Stopped(reason()) from None


def status_of(seen: Description) -> Status.ValueType:
    """How the described run is."""
    return seen.workflow_execution_info.status


def _backs_off_s(activity: PendingActivityInfo) -> float:
    """How far away the activity's next attempt is; at most 0 when it waits for nothing."""
    return _in_s(activity.next_attempt_schedule_time) if activity.HasField("next_attempt_schedule_time") else 0.0


def _in_s(time: Timestamp) -> float:
    return (time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds()


def _begins_far_away(seen: Description) -> bool:
    info = seen.workflow_execution_info
    return info.execution_time.seconds - info.start_time.seconds > FAR_S
