"""History and matching in one process on a real store that can be told to misbehave, and a worker played by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes,
)
from temporalio.api.common.v1 import ActivityType, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CommandType, EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request
from temporalio.api.workflowservice import v1 as api

from services.config import DynamicConfig
from services.history import HistoryService, Home
from services.history.callbacks import Post
from services.matching import MatchingService, MatchingSettings
from services.membership import StaticMembership
from services.namespaces import NamespaceRegistry
from services.persistence import Commit, Outcome, Store, UnknownOutcome
from services.persistence.sqlite import open_sqlite
from services.rpc import Call, HistoryClient, post
from services.runtime import SystemChance, SystemClock

QUEUE = TaskQueue(name="queue")
Fault = Callable[[Callable[[], Awaitable[Outcome]]], Awaitable[Outcome]]


async def happened_unseen(commit: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """The write is done, and the answer is lost."""
    await commit()
    raise UnknownOutcome("the answer was lost")


async def never_happened(_commit: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """The write is lost on its way."""
    raise UnknownOutcome("the request was lost")


class Misbehaving:
    """A store that does what `faults` say, one for each commit, and then what it should."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.faults: list[Fault] = []
        self.commits = 0

    async def commit(self, commit: Commit) -> Outcome:
        self.commits += 1
        if self.faults:
            return await self.faults.pop(0)(lambda: self._store.commit(commit))
        return await self._store.commit(commit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Asked:
    """What matching asks: the history of its own house, unless a test lets it ask another."""

    def __init__(self, house: "House") -> None:
        self._house = house

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.asked, name)


class House:
    """One life of a host. `call` is a client of the default namespace."""

    def __init__(self, store: Misbehaving, post: Post = post) -> None:
        clock, chance, config = SystemClock(), SystemChance(), DynamicConfig()
        self.store = store
        self.namespaces = NamespaceRegistry(store, clock, chance, config)
        self.matching = MatchingService(store, cast(HistoryClient, _Asked(self)), clock, chance, MatchingSettings())
        home = Home(shard_count=4, membership=StaticMembership({"history": "host"}), address="host")
        self.history = HistoryService(store, self.matching, self.namespaces, clock, chance, config, home, post=post)
        self.asked: HistoryClient = self.history

    async def start(self) -> None:
        await self.namespaces.load(["default"])
        await self.history.start()

    @property
    def call(self) -> Call:
        namespace = self.namespaces.by_name("default")
        deadline = SystemClock().monotonic() + 10
        return Call(namespace=namespace.name, namespace_id=namespace.id, deadline=deadline)

    # What clients do.

    async def begin(self, workflow_id: str, request_id: str = "start") -> api.StartWorkflowExecutionResponse:
        request = api.StartWorkflowExecutionRequest(
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name="Workflow"),
            task_queue=QUEUE,
            request_id=request_id,
        )
        return await self.history.start_workflow_execution(self.call, request)

    async def signal(self, workflow_id: str, name: str) -> None:
        request = api.SignalWorkflowExecutionRequest(
            workflow_execution=WorkflowExecution(workflow_id=workflow_id), signal_name=name, request_id=name
        )
        await self.history.signal_workflow_execution(self.call, request)

    async def update(self, workflow_id: str, update_id: str) -> api.UpdateWorkflowExecutionResponse:
        request = api.UpdateWorkflowExecutionRequest(
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            request=Request(meta=Meta(update_id=update_id), input=Input(name="update")),
        )
        return await self.history.update_workflow_execution(self.call, request)

    async def events(self, workflow_id: str) -> list[HistoryEvent]:
        request = api.GetWorkflowExecutionHistoryRequest(execution=WorkflowExecution(workflow_id=workflow_id))
        reply = await self.history.get_workflow_execution_history(self.call, request)
        return list(api.GetWorkflowExecutionHistoryResponse.FromString(reply).history.events)

    async def event_names(self, workflow_id: str) -> list[str]:
        return [EventType.Name(e.event_type).removeprefix("EVENT_TYPE_") for e in await self.events(workflow_id)]

    # What workers do.

    async def task(self) -> api.PollWorkflowTaskQueueResponse:
        request = api.PollWorkflowTaskQueueRequest(task_queue=QUEUE, identity="worker")
        reply = await self.matching.poll_workflow_task_queue(self.call, request)
        return api.PollWorkflowTaskQueueResponse.FromString(reply)

    async def answer(
        self, task: api.PollWorkflowTaskQueueResponse, *commands: Command, messages: Sequence[Message] = ()
    ) -> None:
        request = api.RespondWorkflowTaskCompletedRequest(
            task_token=task.task_token, identity="worker", commands=commands, messages=messages
        )
        await self.history.respond_workflow_task_completed(self.call, request)

    async def activity(self) -> api.PollActivityTaskQueueResponse:
        request = api.PollActivityTaskQueueRequest(task_queue=QUEUE, identity="worker")
        reply = await self.matching.poll_activity_task_queue(self.call, request)
        return api.PollActivityTaskQueueResponse.FromString(reply)

    async def activity_done(self, task: api.PollActivityTaskQueueResponse) -> None:
        request = api.RespondActivityTaskCompletedRequest(task_token=task.task_token, identity="worker")
        await self.history.respond_activity_task_completed(self.call, request)


SCHEDULE = Command(
    command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
    schedule_activity_task_command_attributes=ScheduleActivityTaskCommandAttributes(
        activity_id="activity",
        activity_type=ActivityType(name="Activity"),
        task_queue=QUEUE,
        start_to_close_timeout=Duration(seconds=10),
    ),
)
START_CHILD = Command(
    command_type=CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
    start_child_workflow_execution_command_attributes=StartChildWorkflowExecutionCommandAttributes(
        workflow_id="child", workflow_type=WorkflowType(name="Workflow"), task_queue=QUEUE
    ),
)
COMPLETE = Command(
    command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(),
)


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Misbehaving]:
    store = await open_sqlite(str(path))
    try:
        yield Misbehaving(store)
    finally:
        await store.close()


async def live(store: Misbehaving) -> House:
    """A host begins a life on what the store holds. Its tasks die with the test's loop, as in a crash."""
    house = House(store)
    await house.start()
    return house


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what follows from a commit; there is no event to await where a test looks into the store."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.02)
