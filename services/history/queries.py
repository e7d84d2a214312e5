"""QueryWorkflow: with the next workflow task when one is on its way, else straight through matching.

A query must see every event that was acknowledged before it: while a workflow task is pending, it travels with it.
"""

import asyncio

from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import QueryRejectCondition, QueryResultType, ResourceExhaustedCause, TaskQueueKind
from temporalio.api.query.v1 import QueryRejected, WorkflowQueryResult
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import (
    DeadlineExceeded,
    InvalidArgument,
    QueryFailed,
    ResourceExhausted,
    StickyWorkerUnavailable,
    WorkflowNotReady,
)
from services.history.cache import PendingQuery, RunEntry, WorkflowEntry
from services.history.core.run import Run
from services.history.replies import HISTORY_IN_POLL, field_bytes, history_for_task
from services.history.room import Room
from services.history.waits import wait_for
from services.protos.matching_pb2 import QueryTaskRequest
from services.rpc import Call

FAILING_FROM_ATTEMPT = 3
TIMEOUT_S = 10.0  # for callers without a deadline
FIRST_TASK_S = 1.0  # so long a query waits for a task that is on its way
COMPLETED_STATUS = 2


class Queries(Room):
    """Queries of open and closed runs."""

    async def query_workflow(self, call: Call, request: api.QueryWorkflowRequest) -> api.QueryWorkflowResponse:
        workflow = self.engine.workflow(call.namespace_id, request.execution.workflow_id)
        async with workflow.lock:
            entry = await self.engine.run(workflow, request.execution.run_id)
        rejected = _rejection(entry.run, request)
        if rejected is not None:
            return rejected
        await self._first_task(entry)
        _require_ready(entry.run)
        until = call.deadline if call.deadline is not None else self.engine.clock.monotonic() + TIMEOUT_S
        while _travels_with_task(entry):
            result = await self._with_task(call, entry, request, until)
            if result is not None:
                if result.answer.ByteSize() > self.engine.config.get(limits.BLOB_SIZE_ERROR, call.namespace):
                    raise InvalidArgument("Blob data size exceeds limit.")
                return _response(result)
            entry = await self.engine.run(workflow, entry.run.info.run_id)  # it may have been read anew
            _require_ready(entry.run)
        return await self._direct(call, workflow, entry, request)

    async def _first_task(self, entry: RunEntry) -> None:
        """A child that was just created gets its first task in a moment. Without one nobody could answer."""
        until = self.engine.clock.monotonic() + FIRST_TASK_S
        while entry.run.is_open and not entry.run.info.backoff_deadline_ns and not _had_task(entry.run):
            watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            entry.watchers.add(watcher)
            try:
                if not await wait_for(self.engine.clock, watcher, until):
                    return
            finally:
                entry.watchers.discard(watcher)

    async def _with_task(
        self, call: Call, entry: RunEntry, request: api.QueryWorkflowRequest, until: float
    ) -> WorkflowQueryResult | None:
        limit = self.engine.config.get(limits.MAX_BUFFERED_QUERIES)
        if len(entry.queries) >= limit:
            raise ResourceExhausted(
                "consistent query buffer is full, this may be caused by too many queries and workflow not able to "
                "process query fast enough",
                ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
            )
        query_id = self.engine.chance.unique_id()
        answer: asyncio.Future[WorkflowQueryResult | None] = asyncio.get_running_loop().create_future()
        entry.queries[query_id] = PendingQuery(request.query, answer)
        try:
            if not await wait_for(self.engine.clock, answer, until):
                raise DeadlineExceeded("query timed out before a worker could process it")
            return answer.result()
        finally:
            entry.queries.pop(query_id, None)

    async def _direct(
        self, call: Call, workflow: WorkflowEntry, entry: RunEntry, request: api.QueryWorkflowRequest
    ) -> api.QueryWorkflowResponse:
        info = entry.run.info
        # Of a run that was closed from outside a sticky worker has not seen the last events.
        sticky = entry.run.is_open and info.HasField("sticky")
        if sticky and self.engine.config.get(limits.ENABLE_STICKY_QUERY, call.namespace):
            queue = TaskQueue(
                name=info.sticky.task_queue,
                kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
                normal_name=info.task_queue,
            )
            try:
                return await self._dispatch(call, entry, request, queue, b"", b"")
            except StickyWorkerUnavailable:
                pass
        queue = TaskQueue(name=info.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
        history, token = await history_for_task(self.engine, workflow, entry, 1)
        return await self._dispatch(call, entry, request, queue, history, token)

    async def _dispatch(
        self,
        call: Call,
        entry: RunEntry,
        request: api.QueryWorkflowRequest,
        queue: TaskQueue,
        history: bytes,
        token: bytes,
    ) -> api.QueryWorkflowResponse:
        info = entry.run.info
        task = api.PollWorkflowTaskQueueResponse(
            workflow_execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
            workflow_type=WorkflowType(name=info.workflow_type),
            previous_started_event_id=info.previous_started_event_id,
            attempt=1,
            next_page_token=token,
            query=request.query,
            workflow_execution_task_queue=TaskQueue(name=info.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
        )
        blob = task.SerializeToString() + field_bytes(HISTORY_IN_POLL, history)
        answer = await self.engine.matching.query_workflow(call, QueryTaskRequest(task_queue=queue, poll_response=blob))
        if answer.completed_type == QueryResultType.QUERY_RESULT_TYPE_ANSWERED:
            return api.QueryWorkflowResponse(
                query_result=answer.query_result if answer.HasField("query_result") else None
            )
        raise QueryFailed(answer.error_message, answer.failure if answer.HasField("failure") else None)


def _travels_with_task(entry: RunEntry) -> bool:
    return entry.run.is_open and entry.run.info.HasField("task")


def _rejection(run: Run, request: api.QueryWorkflowRequest) -> api.QueryWorkflowResponse | None:
    """A paused run does not answer. Callers may refuse to be answered by one that is closed, or did not close well."""
    condition, conditions = request.query_reject_condition, QueryRejectCondition
    closed = not run.is_open
    rejects = run.is_paused or (
        closed
        and (
            condition == conditions.QUERY_REJECT_CONDITION_NOT_OPEN
            or (
                condition == conditions.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY
                and run.info.status != COMPLETED_STATUS
            )
        )
    )
    if not rejects:
        return None
    return api.QueryWorkflowResponse(query_rejected=QueryRejected(status=run.info.status))


def _had_task(run: Run) -> bool:
    return run.info.HasField("task") or bool(run.info.previous_started_event_id)


def _require_ready(run: Run) -> None:
    if not run.is_open and not run.info.previous_started_event_id:
        raise WorkflowNotReady("Workflow execution closed before WorkflowTaskStarted event")
    if run.is_open and not _had_task(run):
        raise WorkflowNotReady("Workflow task is not scheduled yet.")
    if run.info.task_attempts_since_success + 1 >= FAILING_FROM_ATTEMPT:
        raise WorkflowNotReady("Unable to query workflow due to Workflow Task in failed state.")


def _response(result: WorkflowQueryResult) -> api.QueryWorkflowResponse:
    match result.result_type:
        case QueryResultType.QUERY_RESULT_TYPE_ANSWERED:
            return api.QueryWorkflowResponse(query_result=result.answer)
        case QueryResultType.QUERY_RESULT_TYPE_FAILED:
            raise QueryFailed(result.error_message, result.failure if result.HasField("failure") else None)
        case _:
            raise InvalidArgument("the worker answered the query with a result of unknown type")
