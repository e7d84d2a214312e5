"""The worker: pollers that drive every workflow from its first task to its end."""

import asyncio

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
)
from temporalio.api.common.v1 import ActivityType
from temporalio.api.enums.v1 import CommandType, EventType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    RespondActivityTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
)

from tests.bench.load import CALL_TIMEOUT_S, IDENTITY, NAMESPACE, RESULT, BenchError, Load
from tests.bench.wire import Template, method

POLL_TIMEOUT_S = 70.0
# As long as a workflow task may take: what an overloaded server loses on the way to a poller comes again after this.
ACTIVITY_TIMEOUT_S = 10
POLLERS_MIN = 4
POLLERS_MAX = 100


class Worker:
    """Workflow and activity pollers on one task queue, as one SDK worker without a sticky cache would run them."""

    def __init__(self, channel: grpc.aio.Channel, load: Load, queue: str) -> None:
        self._activities = load.activities
        self._workflow_pollers = _pollers(load.concurrency)
        self._activity_pollers = _pollers(load.concurrency * load.activities)
        self._poll_workflow = method(channel, "PollWorkflowTaskQueue")
        self._poll_activity = method(channel, "PollActivityTaskQueue")
        self._complete_workflow_task = method(channel, "RespondWorkflowTaskCompleted")
        self._complete_activity = method(channel, "RespondActivityTaskCompleted")
        task_queue = TaskQueue(name=queue)
        self._workflow_poll = PollWorkflowTaskQueueRequest(
            namespace=NAMESPACE, task_queue=task_queue, identity=IDENTITY
        ).SerializeToString()
        self._activity_poll = PollActivityTaskQueueRequest(
            namespace=NAMESPACE, task_queue=task_queue, identity=IDENTITY
        ).SerializeToString()
        self._activity_done = Template(
            RespondActivityTaskCompletedRequest(namespace=NAMESPACE, identity=IDENTITY, result=RESULT), "task_token"
        )
        self._schedule = _workflow_task_done([_schedule_activity(str(n), queue) for n in range(load.activities)])
        self._wait = _workflow_task_done([])
        self._complete = _workflow_task_done([_complete_workflow()])

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Every poller long-polls until cancelled; the first error of any ends the group."""
        workflow_loops = [self._run_workflow_tasks() for _ in range(self._workflow_pollers)]
        activity_loops = [self._run_activities() for _ in range(self._activity_pollers)]
        return [group.create_task(loop) for loop in workflow_loops + activity_loops]

    async def _run_workflow_tasks(self) -> None:
        while True:
            reply = await self._poll_workflow(self._workflow_poll, timeout=POLL_TIMEOUT_S)
            task = PollWorkflowTaskQueueResponse.FromString(reply)
            if task.task_token:
                answer = self._decide(task).fill(task.task_token)
                await self._complete_workflow_task(answer, timeout=CALL_TIMEOUT_S)

    async def _run_activities(self) -> None:
        while True:
            reply = await self._poll_activity(self._activity_poll, timeout=POLL_TIMEOUT_S)
            if token := PollActivityTaskQueueResponse.FromString(reply).task_token:
                await self._complete_activity(self._activity_done.fill(token), timeout=CALL_TIMEOUT_S)

    def _decide(self, task: PollWorkflowTaskQueueResponse) -> Template:
        """Schedule all activities, wait until the history shows them all completed, complete the workflow."""
        if not task.previous_started_event_id:
            return self._schedule
        completed = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        done = sum(event.event_type == completed for event in task.history.events)
        if done > self._activities or task.next_page_token:
            raise BenchError(f"{task.workflow_execution.workflow_id}: {done} activities done of {self._activities}")
        return self._complete if done == self._activities else self._wait


def _pollers(tasks_at_once: int) -> int:
    return min(max(tasks_at_once, POLLERS_MIN), POLLERS_MAX)


def _workflow_task_done(commands: list[Command]) -> Template:
    request = RespondWorkflowTaskCompletedRequest(namespace=NAMESPACE, identity=IDENTITY, commands=commands)
    return Template(request, "task_token")


def _schedule_activity(activity_id: str, queue: str) -> Command:
    return Command(
        command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=ScheduleActivityTaskCommandAttributes(
            activity_id=activity_id,
            activity_type=ActivityType(name="bench"),
            task_queue=TaskQueue(name=queue),
            input=RESULT,
            start_to_close_timeout=Duration(seconds=ACTIVITY_TIMEOUT_S),
        ),
    )


def _complete_workflow() -> Command:
    return Command(
        command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(result=RESULT),
    )
