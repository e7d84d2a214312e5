"""Workers: they poll, decide, do activities, keep sticky caches, die, and answer late or twice."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import grpc
from temporalio.api.enums.v1 import QueryResultType, TaskQueueKind
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue
from temporalio.api.workflowservice import v1 as api

from tests.simulation.client import Client, Code
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Ledger
from tests.simulation.program import QUEUES, Told, decide, payloads, seconds, value_of

POLL_S: Final = 20.0
LATE_S: Final = 8.0
STICKY: Final = TaskQueueKind.TASK_QUEUE_KIND_STICKY
LOST: Final = frozenset({Code.NOT_FOUND, Code.INVALID_ARGUMENT})  # the task is over, or its commands came too late


class Worker:
    """One worker process: pollers of all kinds, and a cache of histories."""

    def __init__(self, cluster: Cluster, ledger: Ledger, name: str) -> None:
        self._world, self._client, self._ledger = cluster.world, Client(cluster), ledger
        self._name = name
        self._sticky = f"sticky of {name}"
        self._cache: dict[str, list[HistoryEvent]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_workflows(TaskQueue(name=self._sticky, kind=STICKY, normal_name=QUEUES[0])))
            for queue in QUEUES:
                tasks.create_task(self._poll_workflows(TaskQueue(name=queue)))
                tasks.create_task(self._poll_activities(TaskQueue(name=queue)))

    async def _poll_workflows(self, queue: TaskQueue) -> None:
        request = api.PollWorkflowTaskQueueRequest(namespace="default", task_queue=queue, identity=self._name)
        while True:
            task = await self._client.call(request, api.PollWorkflowTaskQueueResponse, POLL_S)
            if task.task_token:
                self._begin(self._workflow_task(task))

    async def _poll_activities(self, queue: TaskQueue) -> None:
        request = api.PollActivityTaskQueueRequest(namespace="default", task_queue=queue, identity=self._name)
        while True:
            task = await self._client.call(request, api.PollActivityTaskQueueResponse, POLL_S)
            if task.task_token:
                self._begin(self._activity_task(task))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """In a task of its own, so that the poller goes on; now and then the worker is gone with it."""
        if self._world.happens(self._world.weather.worker_dies):
            work.close()
            self._cache.clear()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hesitate(self) -> None:
        late = self._world.happens(self._world.weather.worker_late)
        await asyncio.sleep(self._world.random.uniform(0, LATE_S if late else 0.05))

    async def _respond(self, request: Any, reply: type[Any]) -> Any:
        """The answer; None when the task was not ours any more."""
        if self._world.happens(self._world.weather.worker_twice):
            self._begin(self._respond_again(request, reply))
        try:
            return await self._client.call(request, reply)
        except grpc.aio.AioRpcError as error:
            if error.code() not in LOST:
                self._world.violated(f"{type(request).__name__}: {error.code().name} {error.details()}")
            return None

    async def _respond_again(self, request: Any, reply: type[Any]) -> None:
        await asyncio.sleep(self._world.random.uniform(0, 3))
        try:
            await self._client.call(request, reply)
        except grpc.aio.AioRpcError as error:
            if error.code() not in LOST:
                self._world.violated(f"{type(request).__name__}: {error.code().name} {error.details()}")

    # Workflow tasks

    async def _workflow_task(self, task: api.PollWorkflowTaskQueueResponse) -> None:
        events = await self._history(task)
        if events is None:
            return
        await self._hesitate()
        if task.HasField("query"):
            answer = api.RespondQueryTaskCompletedRequest(
                namespace="default",
                task_token=task.task_token,
                completed_type=QueryResultType.QUERY_RESULT_TYPE_ANSWERED,
                query_result=payloads(Told.by(events).signals),
            )
            await self._respond(answer, api.RespondQueryTaskCompletedResponse)
            return
        decided = decide(events, task.messages, task.workflow_execution.workflow_id)
        completed = api.RespondWorkflowTaskCompletedRequest(
            namespace="default",
            task_token=task.task_token,
            commands=decided.commands,
            messages=decided.messages,
            identity=self._name,
            return_new_workflow_task=True,
            sticky_attributes=StickyExecutionAttributes(
                worker_task_queue=TaskQueue(
                    name=self._sticky, kind=STICKY, normal_name=task.workflow_execution_task_queue.name
                ),
                schedule_to_start_timeout=seconds(2),
            ),
        )
        for query_id in task.queries:
            completed.query_results[query_id].CopyFrom(
                WorkflowQueryResult(
                    result_type=QueryResultType.QUERY_RESULT_TYPE_ANSWERED,
                    answer=payloads(Told.by(events).signals),
                )
            )
        run_id = task.workflow_execution.run_id
        self._cache.pop(run_id, None)  # of a completion that was refused nobody knows what it did
        reply = await self._respond(completed, api.RespondWorkflowTaskCompletedResponse)
        if reply is not None:
            if decided.commands:  # one that came for updates, all of them rejected, leaves no events
                self._ledger.workflow_tasks.append((run_id, task.started_event_id))
            self._cache[run_id] = events
            for activity in reply.activity_tasks:
                self._begin(self._activity_task(activity))
            if reply.workflow_task.task_token:
                self._begin(self._workflow_task(reply.workflow_task))

    async def _history(self, task: api.PollWorkflowTaskQueueResponse) -> list[HistoryEvent] | None:
        """All events up to the task's start, from the task, its further pages, the cache, or read anew."""
        execution, events = task.workflow_execution, list(task.history.events)
        token = task.next_page_token
        if events and events[0].event_id > 1:
            known = self._cache.get(execution.run_id, [])
            missing = events[0].event_id - 1
            events, token = (known[:missing] + events, token) if len(known) >= missing else ([], b"")
        if not events and task.HasField("query"):
            events = list(self._cache.get(execution.run_id, []))
        while token or not events:
            request = api.GetWorkflowExecutionHistoryRequest(
                namespace="default", execution=execution, next_page_token=token
            )
            page = await self._client.call(request, api.GetWorkflowExecutionHistoryResponse)
            events.extend(page.history.events)
            token = page.next_page_token
            if not token:
                break
        if not task.HasField("query"):
            events = [event for event in events if event.event_id <= task.started_event_id]
        return events if self._is_whole(task, events) else None

    def _is_whole(self, task: api.PollWorkflowTaskQueueResponse, events: list[HistoryEvent]) -> bool:
        ids = [event.event_id for event in events]
        if ids != [*range(1, len(ids) + 1)]:
            self._world.violated(f"a worker got events {ids} of {task.workflow_execution}")
            return False
        return task.HasField("query") or len(ids) == task.started_event_id  # else the task is over by now

    # Activities

    async def _activity_task(self, task: api.PollActivityTaskQueueResponse) -> None:
        step, key = value_of(task.input), (task.workflow_execution.run_id, task.activity_id)
        self._ledger.deliveries[key] += 1
        self._ledger.attempts_max[key] = step["attempts"]
        if step["attempts"] == 1 and self._ledger.deliveries[key] > 1:
            self._world.violated(f"activity {key} may be tried once and was given out twice")
        if step["heartbeats"]:
            beat = api.RecordActivityTaskHeartbeatRequest(
                namespace="default", task_token=task.task_token, identity=self._name, details=payloads("beat")
            )
            await self._respond(beat, api.RecordActivityTaskHeartbeatResponse)
        await self._hesitate()
        if task.attempt <= step["failures"]:
            failed = api.RespondActivityTaskFailedRequest(
                namespace="default",
                task_token=task.task_token,
                identity=self._name,
                failure=Failure(message="as planned", application_failure_info=ApplicationFailureInfo(type="Planned")),
            )
            await self._respond(failed, api.RespondActivityTaskFailedResponse)
            return
        completed = api.RespondActivityTaskCompletedRequest(
            namespace="default", task_token=task.task_token, identity=self._name, result=payloads(step["id"])
        )
        if await self._respond(completed, api.RespondActivityTaskCompletedResponse) is not None:
            self._ledger.activities.append(key)
