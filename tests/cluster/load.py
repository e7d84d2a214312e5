"""A steady load of raw calls: customers who use workflows, workers who do their work, and a ledger of what was said.

Workflows are those of the simulation: a program, drawn from a seed, travels as the input, and a worker decides by the
history alone.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import grpc.aio
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdReusePolicy,
)
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice import v1 as api

from tests.cluster.calls import CALL_S, Caller, Code
from tests.simulation.ledger import Ledger
from tests.simulation.program import QUEUES, TYPE, Step, decide, payloads, seconds, value_of

COMPLETED: Final = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
REJECT: Final = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
CLOSE: Final = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
POLL_S: Final = 20.0
FINISH_S_MAX: Final = 60.0
POLLERS: Final = 4  # of each kind and queue
LATE: Final = frozenset({Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT})  # the task is over by now
Draw = Callable[[random.Random, str], Step]


def short(chance: random.Random, workflow_id: str) -> Step:
    """A program of an activity, a signal that is waited for, and another activity."""
    activity = {"kind": "activity", "attempts": 1, "failures": 0, "timeout_s": 10, "heartbeats": False, "eager": False}
    steps: list[Step] = [
        {**activity, "id": "first"},
        {"kind": "await", "id": "await", "signals": 1},
        {**activity, "id": "last"},
    ]
    return {"steps": steps, "queue": chance.choice(QUEUES), "fails": False}


class Load:
    """Runs while it is entered; `finish` lets what was begun come to its end. `violations` must stay empty."""

    def __init__(
        self,
        caller: Caller,
        seed: int,
        *,
        draw: Draw = short,
        updates: Sequence[str] = ("now", "reject"),
        customers: int = 8,
        think_s: float = 0.2,
    ) -> None:
        """`updates`: kinds of them, as the simulation's programs know them."""
        self._caller, self._seed, self._draw, self.updates = caller, seed, draw, updates
        self._count, self._think_s = customers, think_s
        self.prefix = f"load-{seed}-"  # of all workflow ids, those of children too
        self.ledger = Ledger()
        self.violations: list[str] = []
        self.under_way: set[str] = set()
        self._over = False
        self._customers: set[asyncio.Task[None]] = set()
        self._workers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for queue in QUEUES:
            for _ in range(POLLERS):
                self._begin(self._workers, self._poll_workflows(TaskQueue(name=queue)))
                self._begin(self._workers, self._poll_activities(TaskQueue(name=queue)))
        for number in range(self._count):
            self._begin(self._customers, self._customer(number))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = self._customers | self._workers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def finish(self, within_s: float = FINISH_S_MAX) -> None:
        """Nothing new is begun; returns when everything has ended. TimeoutError after `within_s`."""
        self._over = True
        async with asyncio.timeout(within_s):
            await asyncio.gather(*self._customers)

    def _begin(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._watched(work))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """A bug in the load itself must not look like silence."""
        try:
            await work
        except Exception as error:
            self.violations.append(f"the load failed: {error!r}")
            raise

    def _refused(self, request: Message, error: grpc.aio.AioRpcError) -> None:
        """The caller has noted what may pass; nothing else may be said."""
        if error.code() not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
            self.violations.append(f"{type(request).__name__}: {error.code().name} {error.details()}")

    # Customers

    async def _customer(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/customer/{number}")
        await asyncio.sleep(chance.uniform(0, self._think_s * self._count))
        for use in itertools.count():
            if self._over:
                return
            workflow_id = f"{self.prefix}{number}-{use}"
            self.under_way.add(workflow_id)
            await _Use(self, self._caller, chance, workflow_id, self._draw(chance, workflow_id), self._think_s).live()
            self.under_way.discard(workflow_id)

    # Workers

    async def _poll_workflows(self, queue: TaskQueue) -> None:
        request = api.PollWorkflowTaskQueueRequest(namespace="default", task_queue=queue, identity="load")
        while True:
            try:
                task = await self._caller.call(request, api.PollWorkflowTaskQueueResponse, POLL_S)
            except grpc.aio.AioRpcError as error:
                self._refused(request, error)
                await asyncio.sleep(0.05)
                continue
            if task.task_token:
                self._begin(self._workers, self._workflow_task(task))

    async def _poll_activities(self, queue: TaskQueue) -> None:
        request = api.PollActivityTaskQueueRequest(namespace="default", task_queue=queue, identity="load")
        while True:
            try:
                task = await self._caller.call(request, api.PollActivityTaskQueueResponse, POLL_S)
            except grpc.aio.AioRpcError as error:
                self._refused(request, error)
                await asyncio.sleep(0.05)
                continue
            if task.task_token:
                self._begin(self._workers, self._activity_task(task))

    async def _respond(self, request: Message, reply: type[Any]) -> Any:
        """The answer; None when the task is not ours any more."""
        try:
            return await self._caller.call(request, reply)
        except grpc.aio.AioRpcError as error:
            if error.code() not in LATE:
                self._refused(request, error)
            return None

    async def _workflow_task(self, task: api.PollWorkflowTaskQueueResponse) -> None:
        events, execution = list(task.history.events), task.workflow_execution
        token = task.next_page_token
        while token:
            more = api.GetWorkflowExecutionHistoryRequest(
                namespace="default", execution=execution, next_page_token=token
            )
            page = await self._caller.call(more, api.GetWorkflowExecutionHistoryResponse)
            events.extend(page.history.events)
            token = page.next_page_token
        ids = [event.event_id for event in events]
        if ids != [*range(1, task.started_event_id + 1)]:
            self.violations.append(f"a worker got events {ids} for task {task.started_event_id} of {execution}")
        decided = decide(events, task.messages, execution.workflow_id)
        completed = api.RespondWorkflowTaskCompletedRequest(
            namespace="default",
            task_token=task.task_token,
            commands=decided.commands,
            messages=decided.messages,
            identity="load",
        )
        reply = await self._respond(completed, api.RespondWorkflowTaskCompletedResponse)
        if reply is None:
            return
        for activity in reply.activity_tasks:
            self._begin(self._workers, self._activity_task(activity))
        if decided.commands:  # one that came for updates, all of them rejected, leaves no events
            self.ledger.workflow_tasks.append((execution.run_id, task.started_event_id))

    async def _activity_task(self, task: api.PollActivityTaskQueueResponse) -> None:
        step, key = value_of(task.input), (task.workflow_execution.run_id, task.activity_id)
        self.ledger.deliveries[key] += 1
        if step["attempts"] == 1 and self.ledger.deliveries[key] > 1:
            self.violations.append(f"activity {key} may be tried once and was given out twice")
        done: Message = api.RespondActivityTaskCompletedRequest(
            namespace="default", task_token=task.task_token, identity="load", result=payloads(step["id"])
        )
        reply: type[Message] = api.RespondActivityTaskCompletedResponse
        fails = task.attempt <= step["failures"]
        if fails:
            planned = Failure(message="planned", application_failure_info=ApplicationFailureInfo(type="Planned"))
            done = api.RespondActivityTaskFailedRequest(
                namespace="default", task_token=task.task_token, identity="load", failure=planned
            )
            reply = api.RespondActivityTaskFailedResponse
        if await self._respond(done, reply) is not None and not fails:
            self.ledger.activities.append(key)


class _GivenUp(Exception):
    """A call of a use failed; what was begun is left as it is."""


class _Use:
    """One workflow in use: started, signalled, updated, awaited. Its failures are noted, and end the use."""

    def __init__(
        self, load: Load, caller: Caller, chance: random.Random, workflow_id: str, program: Step, think_s: float
    ) -> None:
        self._load, self._ledger, self._caller, self._chance = load, load.ledger, caller, chance
        self._workflow_id, self._program, self._think_s = workflow_id, program, think_s

    async def live(self) -> None:
        with suppress(_GivenUp):
            await self._live()

    async def _live(self) -> None:
        if not await self._start():
            return
        await self._think()
        await self._update()
        for _ in range(sum(step.get("signals", 0) for step in self._program["steps"]) or 1):
            await self._think()
            await self._signal()
        await self._describe()
        await self._result()

    async def _think(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, 2 * self._think_s))

    def _id(self) -> str:
        return str(UUID(int=self._chance.getrandbits(128), version=4))

    async def _done(
        self, request: Message, reply: type[Any], *excused: grpc.StatusCode, timeout_s: float = CALL_S
    ) -> Any:
        """None when it came too late. Raises _GivenUp."""
        try:
            return await self._caller.call(request, reply, timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in excused:
                return None
            self._load._refused(request, error)
            raise _GivenUp from error

    async def _start(self) -> bool:
        request = api.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=self._workflow_id,
            workflow_type=TYPE,
            task_queue=TaskQueue(name=self._program["queue"]),
            input=payloads(self._program),
            request_id=self._id(),
            workflow_id_reuse_policy=REJECT,
            workflow_task_timeout=seconds(3),
            identity="load",
        )
        # An earlier attempt may have been heard, and its run may be over.
        started = await self._done(request, api.StartWorkflowExecutionResponse, Code.ALREADY_EXISTS)
        if started is not None:
            self._ledger.starts.setdefault(self._workflow_id, set()).add(started.run_id)
        return started is not None

    @property
    def _execution(self) -> WorkflowExecution:
        return WorkflowExecution(workflow_id=self._workflow_id)

    async def _signal(self) -> None:
        request_id = self._id()
        self._ledger.sent_signals.add(request_id)
        request = api.SignalWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=self._execution,
            signal_name="signal",
            input=payloads(request_id),
            request_id=request_id,
            identity="load",
        )
        if await self._done(request, api.SignalWorkflowExecutionResponse, Code.NOT_FOUND) is not None:
            self._ledger.signals[request_id] = self._workflow_id

    async def _update(self) -> None:
        update_id = self._id()
        request = api.UpdateWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=self._execution,
            wait_policy=WaitPolicy(lifecycle_stage=COMPLETED),
            request=Request(
                meta=Meta(update_id=update_id, identity="load"),
                input=Input(name=self._chance.choice(self._load.updates)),
            ),
        )
        while True:
            excused = (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
            reply = await self._done(request, api.UpdateWorkflowExecutionResponse, *excused)
            if reply is None:
                return
            if reply.HasField("outcome"):
                break
        if reply.outcome.HasField("success"):
            self._ledger.updates[update_id] = (self._workflow_id, reply.update_ref.workflow_execution.run_id)

    async def _describe(self) -> None:
        request = api.DescribeWorkflowExecutionRequest(namespace="default", execution=self._execution)
        await self._done(request, api.DescribeWorkflowExecutionResponse)

    async def _result(self) -> None:
        """The end of the last run of the chain, as SDKs wait for it."""
        run_id = ""
        while True:
            close = await self._close_event(run_id)
            attributes = getattr(close, close.WhichOneof("attributes") or "")
            run_id = getattr(attributes, "new_execution_run_id", "")
            if not run_id:
                name = EventType.Name(close.event_type).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_")
                self._ledger.results[self._workflow_id] = name
                return

    async def _close_event(self, run_id: str) -> HistoryEvent:
        token = b""
        while True:
            request = api.GetWorkflowExecutionHistoryRequest(
                namespace="default",
                execution=WorkflowExecution(workflow_id=self._workflow_id, run_id=run_id),
                wait_new_event=True,
                history_event_filter_type=CLOSE,
                next_page_token=token,
            )
            reply = await self._done(request, api.GetWorkflowExecutionHistoryResponse, timeout_s=POLL_S)
            if reply.history.events:
                close: HistoryEvent = reply.history.events[-1]
                return close
            token = reply.next_page_token
