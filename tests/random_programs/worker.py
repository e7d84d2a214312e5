"""The workflow worker of random programs: it takes workflow tasks, and answers them with random commands."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import cast

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command, ProtocolMessageCommandAttributes
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Memo, Payload, RetryPolicy, SearchAttributes, WorkflowExecution
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    ParentClosePolicy,
    TaskQueueKind,
    TaskQueueType,
    WorkflowIdReusePolicy,
)
from temporalio.api.enums.v1 import WorkflowTaskFailedCause as Cause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    modify_properties,
    payload,
    payloads,
    record_marker,
    schedule_activity,
    seconds,
    shade,
    signal_external,
    start_child,
    start_timer,
    upsert_search_attributes,
)
from tests.conformance.scenarios.updates import accept, reject, respond
from tests.random_programs.activities import UNTAKEN, kind_of, random_activity
from tests.random_programs.story import Flow, Story, WorkflowTask, until

Completed = api.RespondWorkflowTaskCompletedRequest

SHORT_S = 0.2
"""A timer that fires while the program waits for it."""

STICKY_LIMIT_S = 70.0
"""How long a worker polls a sticky queue; the server lets it wait for a minute."""

EXTERNAL_INITIATED = (
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
)
EXTERNAL_ENDED = (
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
)


async def take(_: Story, flow: Flow, __: Random) -> None:
    """The worker takes the next workflow task."""
    flow.held = flow.in_hand_now(await flow.w.workflow_task())


async def take_and_answer(story: Story, flow: Flow, dice: Random) -> None:
    """The worker is quick."""
    await take(story, flow, dice)
    await answer(story, flow, dice)


async def _stick(flow: Flow) -> None:
    """A worker polls the sticky queue before anything is sent there: else the server would not use it."""
    if flow.sticky_poll is None:
        flow.sticky_poll = asyncio.create_task(_sticky_task(flow))
    request = api.DescribeTaskQueueRequest(
        namespace=flow.w.namespace,
        task_queue=_sticky_queue(flow),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )

    async def is_polled() -> bool:
        return bool((await flow.w.unrecorded(flow.w.rpc.DescribeTaskQueue, request)).pollers)

    await until("the sticky queue is polled", is_polled)


async def _sticky_task(flow: Flow) -> WorkflowTask:
    request = api.PollWorkflowTaskQueueRequest(
        namespace=flow.w.namespace, task_queue=_sticky_queue(flow), identity="worker"
    )
    send = cast(Callable[..., Awaitable[WorkflowTask]], flow.w.rpc.PollWorkflowTaskQueue)
    return await send(request, timeout=STICKY_LIMIT_S)


def _sticky_queue(flow: Flow) -> TaskQueue:
    return TaskQueue(name=flow.w.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=flow.w.queue)


async def fail(_: Story, flow: Flow, dice: Random) -> None:
    """The worker fails the task."""
    task, flow.held, flow.sticks = flow.held, None, False
    assert task is not None
    causes = (
        Cause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
        Cause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
    )
    request = api.RespondWorkflowTaskFailedRequest(
        namespace=flow.w.namespace,
        task_token=task.task_token,
        cause=dice.choice(causes),
        failure=failure("a bug"),
        identity="worker",
    )
    await flow.w.attempt(flow.w.rpc.RespondWorkflowTaskFailed, request)


async def answer_late(_: Story, flow: Flow, __: Random) -> None:
    """The worker answers a task that is not its own any more."""
    request = flow.w.completion(flow.old_tasks.pop(), complete_workflow("late"))
    await flow.w.attempt(flow.w.rpc.RespondWorkflowTaskCompleted, request, note="late")


async def answer(story: Story, flow: Flow, dice: Random) -> None:
    """The worker completes the task with commands, and with what it says of updates."""
    task = flow.held
    assert task is not None
    sticks = dice.random() < 0.25 and not flow.is_impatient
    plan = Answer(story, flow, task, dice, hurried=sticks)
    request = plan.request()
    run_id = flow.run_id
    if sticks:
        await _stick(flow)
        request.sticky_attributes.worker_task_queue.CopyFrom(_sticky_queue(flow))
        request.sticky_attributes.schedule_to_start_timeout.CopyFrom(seconds(100))
    reply = await flow.w.attempt(flow.w.rpc.RespondWorkflowTaskCompleted, request)
    flow.closing = reply is None and plan.closes
    if reply is None:
        return
    flow.answered.add(run_id)
    flow.waiting -= {message.protocol_instance_id for message in task.messages}
    flow.sticks = sticks
    flow.has_stuck |= sticks
    if dice.random() < 0.3:
        flow.drop_task()
    flow.held = flow.in_hand_now(reply.workflow_task) if reply.workflow_task.task_token else None
    for activity in reply.activity_tasks:
        flow.in_hand[activity.activity_id] = activity
    plan.succeeded()
    if plan.fires:
        await story.until_events(flow, run_id, plan.has_fired)
    if plan.reaches_out:
        await story.until_events(flow, run_id, externals_ended)


def externals_ended(events: Sequence[HistoryEvent]) -> bool:
    """Whether all signals and cancellations that a run sent have ended."""
    kinds = [event.event_type for event in events]
    return sum(map(kinds.count, EXTERNAL_INITIATED)) == sum(map(kinds.count, EXTERNAL_ENDED))


class Answer:
    """Random commands and messages for one workflow task, and what the program has to remember of them.

    `hurried`: a worker waits for the next task at the sticky queue. There has to be one, or the server lets that worker
    take tasks of the normal queue; and it is taken as soon as it is there, so nothing else may happen at that time.
    """

    def __init__(self, story: Story, flow: Flow, task: WorkflowTask, dice: Random, *, hurried: bool) -> None:
        self.story, self.flow, self.task, self.dice = story, flow, task, dice
        self.commands: list[Command] = []
        self.messages: list[Message] = []
        self.timers = set(flow.timers)
        self.accepted = list(flow.accepted)
        self.short: list[str] = []  # activities that will time out in a moment
        self.fires = ""  # the timer that fires in a moment
        self.reaches_out = False
        self.closes = False
        self.hurried = hurried

    def request(self) -> Completed:
        """The completion. At most one thing in it has consequences that take their time."""
        dice, change = self.dice, Completed()
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            dice.choice(self._plain_choices())()
        if self.hurried:
            self._mark()  # an empty answer may count as a heartbeat that comes too late
        self._speak_of_updates()
        nature = dice.choices(("plain", "forced", "short", "far", "close"), (10, 3, 3, 6, 4))[0]
        match "forced" if self.hurried else nature:
            case "forced":
                change.force_create_new_workflow_task = True
                change.return_new_workflow_task = dice.random() < 0.6 and not self.hurried
            case "short" if not self.short:
                self._short_timer()
            case "far" if not self.short:
                dice.choice((self._start_child, self._start_child, self._signal, self._cancel))()
            case "close":
                self._close()
            case _:
                change.return_new_workflow_task = not self.short and dice.random() < 0.3
        change.messages.extend(self.messages)
        return self.flow.w.completion(self.task, *self.commands, change=change)

    def succeeded(self) -> None:
        """The server took it."""
        self.flow.timers = self.timers
        self.flow.accepted = self.accepted
        self.flow.short.update(dict.fromkeys(self.short, 1))

    def has_fired(self, events: Sequence[HistoryEvent]) -> bool:
        """Whether the timer has."""
        return any(event.timer_fired_event_attributes.timer_id == self.fires for event in events)

    def _plain_choices(self) -> list[Callable[[], None]]:
        choices = [self._schedule, self._schedule, self._timer, self._upsert, self._modify, self._mark]
        if self.timers:
            choices.append(self._cancel_timer)
        if self.flow.activities():
            choices += [self._cancel_activity] * 2
        if self.dice.random() < 0.05 and not self.hurried:
            choices = [self._blunder]
        return choices

    def _schedule(self) -> None:
        activity_id, command = random_activity(self.flow, self.dice)
        if kind_of(activity_id) in UNTAKEN:
            if self.short or self.hurried:
                return
            self.short.append(activity_id)
        self.commands.append(command)

    def _timer(self) -> None:
        timer_id = self.flow.new_id("timer")
        self.timers.add(timer_id)
        self.commands.append(start_timer(timer_id, 3600))

    def _cancel_timer(self) -> None:
        timer_id = self.dice.choice(sorted(self.timers))
        self.timers.discard(timer_id)
        self.commands.append(cancel_timer(timer_id))

    def _upsert(self) -> None:
        empty = SearchAttributes(indexed_fields={"Shade": Payload(metadata={"encoding": b"json/plain"}, data=b"null")})
        self.commands.append(upsert_search_attributes(self.dice.choice((shade("red"), shade("blue"), empty))))

    def _modify(self) -> None:
        key = self.dice.choice("xy")
        value = self.dice.choice((payload("1"), payload("2"), Payload()))
        self.commands.append(modify_properties(Modify(upserted_memo=Memo(fields={key: value}))))

    def _mark(self) -> None:
        self.commands.append(record_marker("Version", change="one"))

    def _cancel_activity(self) -> None:
        """By the id of its scheduling, which the description does not tell."""
        known = self.flow.scheduled
        pending = [each.activity_id for each in self.flow.activities() if each.activity_id in known]
        if pending:
            self.commands.append(cancel_activity(known[self.dice.choice(pending)]))

    def _blunder(self) -> None:
        """A command that fails the task."""
        blunders = [cancel_timer("unheard"), cancel_activity(12345), record_marker(""), schedule_activity("", "")]
        if self.timers:
            blunders.append(start_timer(min(self.timers), 60))
        if self.flow.activities():
            blunders.append(schedule_activity(self.flow.activities()[0].activity_id, self.flow.w.queue))
        self.commands.append(self.dice.choice(blunders))

    def _speak_of_updates(self) -> None:
        for update_id in list(self.accepted):
            if self.dice.random() < 0.5:
                self.accepted.remove(update_id)
                self._say(respond(update_id, failure("no luck") if self.dice.random() < 0.3 else None))
        for index, asked in enumerate(self.task.messages):
            update_id = asked.protocol_instance_id
            match self.dice.choice(("complete", "complete", "accept", "reject", "ignore")):
                case "complete":
                    self._say(accept(self.task, index))
                    self._say(respond(update_id))
                case "accept":
                    self._say(accept(self.task, index))
                    self.accepted.append(update_id)
                case "reject":
                    self.messages.append(reject(self.task, index))

    def _say(self, message: Message) -> None:
        """A message in its place among the commands, as SDKs send them."""
        self.messages.append(message)
        attributes = ProtocolMessageCommandAttributes(message_id=message.id)
        self.commands.append(
            Command(
                command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE, protocol_message_command_attributes=attributes
            )
        )

    def _short_timer(self) -> None:
        self.fires = self.flow.new_id("short")
        self.commands.append(start_timer(self.fires, SHORT_S))

    def _start_child(self) -> None:
        dice = self.dice
        flow = dice.choice([each for each in self.story.flows.values() if each is not self.flow])
        change = StartChild(
            input=payloads("from the parent"),
            workflow_task_timeout=seconds(60),
            parent_close_policy=dice.choice(ParentClosePolicy.values()),
            workflow_id_reuse_policy=dice.choice(WorkflowIdReusePolicy.values()),
        )
        if dice.random() < 0.3:
            change.retry_policy.CopyFrom(RetryPolicy(initial_interval=seconds(0.1), maximum_attempts=2))
        elif dice.random() < 0.1:
            change.workflow_run_timeout.CopyFrom(seconds(1))
        if dice.random() < 0.3:
            change.memo.fields["x"].CopyFrom(payload("child"))
            change.search_attributes.CopyFrom(shade("green"))
        self.commands.append(start_child(flow.name, flow.w.queue, change))

    def _other(self) -> WorkflowExecution:
        others = [each for each in self.story.flows.values() if each is not self.flow]
        flow = self.dice.choice(others)
        return WorkflowExecution(workflow_id=flow.name, run_id=self.dice.choice(["", "", *flow.runs]))

    def _signal(self) -> None:
        other = self._other()
        if self.story.flows[other.workflow_id].closing:
            return  # the signal would wait until it is closed, or is not
        self.reaches_out = True
        attributes = SignalExternal(
            execution=other,
            signal_name="from outside",
            input=payloads("hello"),
            control="mine",
            child_workflow_only=self.dice.random() < 0.2,
        )
        self.commands.append(signal_external(attributes))

    def _cancel(self) -> None:
        self.reaches_out = True
        other = self._other()
        attributes = CancelExternal(
            workflow_id=other.workflow_id,
            run_id=other.run_id,
            child_workflow_only=self.dice.random() < 0.2,
            reason="enough",
            control="mine",
        )
        self.commands.append(cancel_external(attributes))

    def _close(self) -> None:
        self.closes = True
        again = Continue(backoff_start_interval=seconds(1), input=payloads("again"))
        if self.dice.random() < 0.3:
            again.memo.fields["z"].CopyFrom(payload("3"))
        self.commands.append(
            self.dice.choice(
                (
                    complete_workflow("done"),
                    fail_workflow(failure(non_retryable=self.dice.random() < 0.3)),
                    cancel_workflow("gone"),
                    continue_as_new(again),
                )
            )
        )
