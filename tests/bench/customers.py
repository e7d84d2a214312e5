"""The customers: a closed loop of workflows started, waited for and checked."""

import asyncio
import itertools
import time

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
)

from tests.bench.load import CALL_TIMEOUT_S, IDENTITY, NAMESPACE, RESULT, BenchError, Load
from tests.bench.wire import Template, method

WORKFLOW_TIMEOUT_S = 100


class Customers:
    """Each starts a workflow, long-polls for its close event, checks it, and starts the next, until stopped."""

    def __init__(self, channel: grpc.aio.Channel, load: Load, queue: str) -> None:
        self.latencies_s: list[float] = []
        self._stopped = False
        self._progress = asyncio.Event()
        self._concurrency = load.concurrency
        self._queue = queue
        self._ordinals = itertools.count()
        self._start_workflow = method(channel, "StartWorkflowExecution")
        self._get_history = method(channel, "GetWorkflowExecutionHistory")
        start = StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_type=WorkflowType(name="bench"),
            task_queue=TaskQueue(name=queue),
            input=RESULT,
            workflow_execution_timeout=Duration(seconds=WORKFLOW_TIMEOUT_S),
            identity=IDENTITY,
        )
        self._start = Template(start, "workflow_id", "request_id")
        wait = GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            wait_new_event=True,
            history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        self._wait = Template(wait, "execution", "next_page_token")

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """One task a customer; the first error of any ends the group."""
        return [group.create_task(self._run()) for _ in range(self._concurrency)]

    def stop(self) -> None:
        """Customers end after the workflow they are waiting for."""
        self._stopped = True

    async def wait_for_closed(self, count: int) -> None:
        """Return at the close that makes it so many in all."""
        while len(self.latencies_s) < count:
            self._progress.clear()
            await self._progress.wait()

    async def _run(self) -> None:
        while not self._stopped:
            began = time.perf_counter()
            workflow_id = f"{self._queue}-{next(self._ordinals)}"
            name = workflow_id.encode()
            reply = await self._start_workflow(self._start.fill(name, name), timeout=CALL_TIMEOUT_S)
            await self._wait_for_close(workflow_id, StartWorkflowExecutionResponse.FromString(reply).run_id)
            self.latencies_s.append(time.perf_counter() - began)
            self._progress.set()

    async def _wait_for_close(self, workflow_id: str, run_id: str) -> None:
        execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id).SerializeToString()
        page_token = b""
        while True:
            request = self._wait.fill(execution, page_token)
            reply = GetWorkflowExecutionHistoryResponse.FromString(
                await self._get_history(request, timeout=CALL_TIMEOUT_S)
            )
            if reply.history.events:
                break
            page_token = reply.next_page_token
            if not page_token:
                raise BenchError(f"{workflow_id}: the wait for the close event ended without it")
        last = reply.history.events[-1]
        if last.workflow_execution_completed_event_attributes.result != RESULT:
            raise BenchError(f"{workflow_id}: ended by {EventType.Name(last.event_type)} or with another result")
