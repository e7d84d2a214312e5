"""The hand a scenario drives a server with: raw gRPC calls, each recorded with its reply or error.

The scenario plays the worker itself, so it decides what happens when, and histories are comparable.
`call` stops the scenario on an error; `attempt` records the error and goes on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import grpc
import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.command.v1 import Command, StartTimerCommandAttributes
from temporalio.api.common.v1 import Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CommandType, EventType, HistoryEventFilterType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.transcript import Refusal, Transcript

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
M = TypeVar("M", bound=Message)

HistoryRequest = api.GetWorkflowExecutionHistoryRequest
HistoryReply = api.GetWorkflowExecutionHistoryResponse
UNHANDLED_FAILURE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE

CALL_LIMIT_S = 12.0
"""Deadline of every call. A task poll is answered empty one second earlier, which stops the scenario."""

SILENCE_S = 3.0
"""Deadline of a poll that should find nothing; the server answers it empty after two seconds."""


class Stopped(Exception):
    """The scenario cannot go on; the transcript says why."""


class Wire:
    """One scenario's connection to one server. Ids derive from the scenario's name, alike on both servers."""

    def __init__(self, channel: grpc.aio.Channel, name: str, transcript: Transcript | None = None) -> None:
        self.rpc = api.WorkflowServiceStub(cast(grpc.Channel, channel))
        self.namespace = "default"
        self.name = name
        self.queue = name
        self.transcript = Transcript() if transcript is None else transcript
        self._channel = channel
        self._clocks = 0

    def other(self, suffix: str) -> "Wire":
        """The same story's hand on another workflow, with its own task queue."""
        return Wire(self._channel, self.id(suffix), self.transcript)

    # Calls

    async def call(
        self, method: "grpc.UnaryUnaryMultiCallable[Q, R]", request: Q, *, note: str = "", limit_s: float = CALL_LIMIT_S
    ) -> R:
        """Make a call and record it. An error is recorded, then stops the scenario."""
        reply = await self.attempt(method, request, note=note, limit_s=limit_s)
        if reply is None:
            raise Stopped("the last call was expected to succeed")
        return reply

    async def attempt(
        self, method: "grpc.UnaryUnaryMultiCallable[Q, R]", request: Q, *, note: str = "", limit_s: float = CALL_LIMIT_S
    ) -> R | None:
        """Make a call and record its reply or its error; None after an error."""
        rpc = type(request).__name__.removesuffix("Request")
        entry = self.transcript.enter(f"{rpc} ({note})" if note else rpc)
        send = cast(Callable[..., Awaitable[R]], method)
        try:
            reply = await send(request, timeout=limit_s)
        except grpc.aio.AioRpcError as error:
            self.transcript.settle(entry, Refusal.of(error))
            return None
        self.transcript.settle(entry, reply)
        return reply

    async def unrecorded(self, method: "grpc.UnaryUnaryMultiCallable[Q, R]", request: Q) -> R:
        """Make a call that is no part of the story."""
        send = cast(Callable[..., Awaitable[R]], method)
        try:
            return await send(request, timeout=CALL_LIMIT_S)
        except grpc.aio.AioRpcError as error:
            raise Stopped(f"{type(request).__name__}: {error.code().name} {error.details()}") from error

    async def until(
        self, method: "grpc.UnaryUnaryMultiCallable[Q, R]", request: Q, holds: Callable[[R], bool] = lambda _: True
    ) -> R:
        """Repeat a call until it succeeds and its reply `holds`; only that reply is recorded."""
        entry = self.transcript.enter(f"until {type(request).__name__.removesuffix('Request')}")
        async with asyncio.timeout(CALL_LIMIT_S):
            while True:
                with contextlib.suppress(Stopped):
                    reply = await self.unrecorded(method, request)
                    if holds(reply):
                        self.transcript.settle(entry, reply)
                        return reply
                await asyncio.sleep(0.05)

    def note(self, text: str) -> None:
        """Record something the scenario found out by itself."""
        self.transcript.enter(f"note: {text}")

    # Clients

    def id(self, suffix: str = "") -> str:
        """A workflow id or task queue of this scenario alone."""
        return f"{self.name}-{suffix}" if suffix else self.name

    def execution(self, workflow_id: str = "", run_id: str = "") -> WorkflowExecution:
        """The scenario's workflow, or another one."""
        return WorkflowExecution(workflow_id=workflow_id or self.id(), run_id=run_id)

    def start_request(
        self, change: api.StartWorkflowExecutionRequest | None = None
    ) -> api.StartWorkflowExecutionRequest:
        """A plain start, with the fields of `change` laid over it."""
        return over(
            api.StartWorkflowExecutionRequest(
                namespace=self.namespace,
                workflow_id=self.id(),
                workflow_type=WorkflowType(name="Workflow"),
                task_queue=TaskQueue(name=self.queue),
                identity="client",
                request_id="start",
            ),
            change,
        )

    async def start(self, change: api.StartWorkflowExecutionRequest | None = None, *, note: str = "") -> str:
        """Start a workflow and return its run id."""
        request = self.start_request(change)
        reply = await self.call(self.rpc.StartWorkflowExecution, request, note=note)
        self.transcript.ran(request.workflow_id, reply.run_id)
        return reply.run_id

    def signal_request(
        self, change: api.SignalWorkflowExecutionRequest | None = None
    ) -> api.SignalWorkflowExecutionRequest:
        """A signal named `signal` to the scenario's workflow, with the fields of `change` laid over it."""
        return over(
            api.SignalWorkflowExecutionRequest(
                namespace=self.namespace, workflow_execution=self.execution(), signal_name="signal", identity="client"
            ),
            change,
        )

    async def signal(self, change: api.SignalWorkflowExecutionRequest | None = None) -> None:
        """Signal a workflow."""
        await self.call(self.rpc.SignalWorkflowExecution, self.signal_request(change))

    def cancel_request(
        self, change: api.RequestCancelWorkflowExecutionRequest | None = None
    ) -> api.RequestCancelWorkflowExecutionRequest:
        """A request to cancel the scenario's workflow, with the fields of `change` laid over it."""
        return over(
            api.RequestCancelWorkflowExecutionRequest(
                namespace=self.namespace, workflow_execution=self.execution(), identity="client", reason="enough"
            ),
            change,
        )

    def terminate_request(
        self, change: api.TerminateWorkflowExecutionRequest | None = None
    ) -> api.TerminateWorkflowExecutionRequest:
        """A termination of the scenario's workflow, with the fields of `change` laid over it."""
        return over(
            api.TerminateWorkflowExecutionRequest(
                namespace=self.namespace, workflow_execution=self.execution(), identity="client", reason="enough"
            ),
            change,
        )

    async def terminate(self, workflow_id: str = "") -> None:
        """Terminate a workflow."""
        change = api.TerminateWorkflowExecutionRequest(workflow_execution=self.execution(workflow_id))
        await self.call(self.rpc.TerminateWorkflowExecution, self.terminate_request(change))

    async def describe(self, workflow_id: str = "", run_id: str = "") -> api.DescribeWorkflowExecutionResponse:
        """Describe a workflow; the whole description is recorded."""
        request = api.DescribeWorkflowExecutionRequest(
            namespace=self.namespace, execution=self.execution(workflow_id, run_id)
        )
        return await self.call(self.rpc.DescribeWorkflowExecution, request)

    # Workers

    async def workflow_task(self, queue: str = "") -> api.PollWorkflowTaskQueueResponse:
        """Wait for the next workflow task (or query task) of the queue."""
        task = await self._poll_workflow(queue, CALL_LIMIT_S)
        if not task.task_token:
            raise Stopped("no workflow task came")
        return task

    async def no_workflow_task(self, queue: str = "") -> None:
        """Hold that no workflow task comes for two seconds."""
        if (await self._poll_workflow(queue, SILENCE_S)).task_token:
            raise Stopped("a workflow task came where none should")

    async def _poll_workflow(self, queue: str, limit_s: float) -> api.PollWorkflowTaskQueueResponse:
        request = api.PollWorkflowTaskQueueRequest(
            namespace=self.namespace, task_queue=TaskQueue(name=queue or self.queue), identity="worker"
        )
        return await self.call(self.rpc.PollWorkflowTaskQueue, request, limit_s=limit_s)

    def completion(
        self,
        task: api.PollWorkflowTaskQueueResponse,
        *commands: Command,
        change: api.RespondWorkflowTaskCompletedRequest | None = None,
    ) -> api.RespondWorkflowTaskCompletedRequest:
        """The completion of a workflow task by these commands, with the fields of `change` laid over it."""
        request = api.RespondWorkflowTaskCompletedRequest(
            namespace=self.namespace, task_token=task.task_token, commands=commands, identity="worker"
        )
        return over(request, change)

    async def complete(
        self,
        task: api.PollWorkflowTaskQueueResponse,
        *commands: Command,
        change: api.RespondWorkflowTaskCompletedRequest | None = None,
    ) -> api.RespondWorkflowTaskCompletedResponse:
        """Complete a workflow task."""
        return await self.call(self.rpc.RespondWorkflowTaskCompleted, self.completion(task, *commands, change=change))

    async def turn(self, *commands: Command) -> api.PollWorkflowTaskQueueResponse:
        """Take the next workflow task and complete it."""
        task = await self.workflow_task()
        await self.complete(task, *commands)
        return task

    async def fail_workflow_task(
        self,
        task: api.PollWorkflowTaskQueueResponse,
        cause: WorkflowTaskFailedCause.ValueType = UNHANDLED_FAILURE,
        failure: Failure | None = None,
    ) -> None:
        """Say that a workflow task failed."""
        request = api.RespondWorkflowTaskFailedRequest(
            namespace=self.namespace, task_token=task.task_token, cause=cause, failure=failure, identity="worker"
        )
        await self.call(self.rpc.RespondWorkflowTaskFailed, request)

    async def activity_task(self, queue: str = "") -> api.PollActivityTaskQueueResponse:
        """Wait for the next activity task of the queue."""
        task = await self._poll_activity(queue, CALL_LIMIT_S)
        if not task.task_token:
            raise Stopped("no activity task came")
        return task

    async def no_activity_task(self, queue: str = "") -> None:
        """Hold that no activity task comes for two seconds."""
        if (await self._poll_activity(queue, SILENCE_S)).task_token:
            raise Stopped("an activity task came where none should")

    async def _poll_activity(self, queue: str, limit_s: float) -> api.PollActivityTaskQueueResponse:
        request = api.PollActivityTaskQueueRequest(
            namespace=self.namespace, task_queue=TaskQueue(name=queue or self.queue), identity="worker"
        )
        return await self.call(self.rpc.PollActivityTaskQueue, request, limit_s=limit_s)

    async def complete_activity(self, task: api.PollActivityTaskQueueResponse, result: Payloads | None = None) -> None:
        """Complete an activity task."""
        request = api.RespondActivityTaskCompletedRequest(
            namespace=self.namespace, task_token=task.task_token, result=result, identity="worker"
        )
        await self.call(self.rpc.RespondActivityTaskCompleted, request)

    async def fail_activity(self, task: api.PollActivityTaskQueueResponse, failure: Failure) -> None:
        """Fail an activity task."""
        request = api.RespondActivityTaskFailedRequest(
            namespace=self.namespace, task_token=task.task_token, failure=failure, identity="worker"
        )
        await self.call(self.rpc.RespondActivityTaskFailed, request)

    async def heartbeat(
        self, task: api.PollActivityTaskQueueResponse, details: Payloads | None = None
    ) -> api.RecordActivityTaskHeartbeatResponse:
        """Record a heartbeat of an activity task."""
        request = api.RecordActivityTaskHeartbeatRequest(
            namespace=self.namespace, task_token=task.task_token, details=details, identity="worker"
        )
        return await self.call(self.rpc.RecordActivityTaskHeartbeat, request)

    async def each_alone(self, commands: dict[str, Command]) -> None:
        """Try each command (by what is odd about it) as the answer to the first task of a workflow of its own."""
        for index, (oddity, command) in enumerate(commands.items()):
            other = self.other(str(index))
            await other.start()
            request = other.completion(await other.workflow_task(), command)
            await other.attempt(self.rpc.RespondWorkflowTaskCompleted, request, note=oddity)

    async def let_time_pass(self, after_s: int) -> None:
        """Wait until the server's own clock has moved on: a timer of another workflow fires."""
        self._clocks += 1
        other = self.other(f"clock-{self._clocks}")
        start = StartTimerCommandAttributes(timer_id="clock", start_to_fire_timeout=Duration(seconds=after_s))
        await other.start()
        await other.turn(
            Command(command_type=CommandType.COMMAND_TYPE_START_TIMER, start_timer_command_attributes=start)
        )
        await other.event(EventType.EVENT_TYPE_TIMER_FIRED)

    # Histories. Reading them here is not recorded: every run's whole history stands at the transcript's end.

    async def events(self, workflow_id: str = "", run_id: str = "") -> list[HistoryEvent]:
        """The events of a run so far, all pages of it."""
        request = self._history_request(workflow_id, run_id)
        events: list[HistoryEvent] = []
        while True:
            reply = await self.unrecorded(self.rpc.GetWorkflowExecutionHistory, request)
            events.extend(reply.history.events)
            request.next_page_token = reply.next_page_token
            if not request.next_page_token:
                return events

    async def event(self, kind: EventType.ValueType, workflow_id: str = "", run_id: str = "") -> HistoryEvent:
        """Wait until the run has an event of this type, and return the first one."""
        request = self._history_request(workflow_id, run_id)
        request.wait_new_event = True
        while True:
            reply = await self.unrecorded(self.rpc.GetWorkflowExecutionHistory, request)
            for event in reply.history.events:
                if event.event_type == kind:
                    return event
            request.next_page_token = reply.next_page_token
            if not request.next_page_token:
                raise Stopped(f"the run closed without {EventType.Name(kind)}")

    async def closed(self, workflow_id: str = "", run_id: str = "") -> HistoryEvent:
        """Wait until the run (and what follows it) is closed, and return the last event."""
        request = self._history_request(workflow_id, run_id)
        request.wait_new_event = True
        request.history_event_filter_type = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
        while True:
            reply = await self.unrecorded(self.rpc.GetWorkflowExecutionHistory, request)
            if reply.history.events:
                return reply.history.events[-1]
            request.next_page_token = reply.next_page_token
            if not request.next_page_token:
                raise Stopped("the wait for the close event ended without one")

    def _history_request(self, workflow_id: str, run_id: str) -> HistoryRequest:
        return HistoryRequest(namespace=self.namespace, execution=self.execution(workflow_id, run_id))


def over(request: M, change: M | None) -> M:
    """The request with the set fields of `change` laid over it."""
    if change is not None:
        request.MergeFrom(change)
    return request


async def tell(wire: Wire, body: Callable[[Wire], Awaitable[None]], limit_s: float, rest_s: float = 0.0) -> Transcript:
    """Run a scenario within its time and tell the history of every run it touched. Never raises."""
    try:
        async with asyncio.timeout(limit_s):
            await body(wire)
        await asyncio.sleep(rest_s)  # nothing tells when all that the last calls set off has come to rest
    except Stopped as reason:
        wire.transcript.stopped = str(reason)
    except TimeoutError:
        wire.transcript.stopped = f"not finished after {limit_s:g} s"
    except Exception as error:
        # A scenario trips over a reply it did not expect: that is a difference to show, not a reason to end the run.
        wire.transcript.stopped = f"{type(error).__name__}: {error}"
    try:
        async with asyncio.timeout(CALL_LIMIT_S):
            await _tell_histories(wire)
    except (Stopped, TimeoutError) as reason:
        wire.transcript.stopped = wire.transcript.stopped or f"telling histories: {reason or 'too slow'}"
    return wire.transcript


async def _tell_histories(wire: Wire) -> None:
    """Histories name further runs (children, successors); those are told too."""
    told: set[tuple[str, str]] = set()
    while remaining := [run for run in wire.transcript.runs if run not in told]:
        workflow_id, run_id = remaining[0]
        told.add((workflow_id, run_id))
        entry = wire.transcript.enter(f"the history of {workflow_id} {run_id}")
        try:
            events = await wire.events(workflow_id, run_id)
        except Stopped:
            # Commands may name runs that never were.
            entry.title += ": none"
            continue
        for event in events:
            wire.transcript.settle(wire.transcript.enter(f"event {event.event_id}"), event)
            attributes = getattr(event, event.WhichOneof("attributes") or "", None)
            wire.transcript.ran(workflow_id, getattr(attributes, "new_execution_run_id", ""))
