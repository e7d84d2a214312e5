"""Workflows of a simulation: a program is drawn from the seed and travels as the workflow's input.

A worker decides from the history alone, so it does not matter which worker does, or how often. A program is a list of
steps; a step is begun when all before it are over, those of a group at once. Ids of steps are unique in a program.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import ActivityType, Payload, Payloads, RetryPolicy, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, ParentClosePolicy
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Rejection, Request, Response

from tests.unit.history.commands import command

QUEUES: Final = ("queue-1", "queue-2")
TYPE: Final = WorkflowType(name="Program")
Step = dict[str, Any]


def draw(random: Random, workflow_id: str, signals: int, others: Sequence[str], depth: int = 0) -> Step:
    """A program. `signals` are sure to come; `others` are workflows that may be there."""
    numbers = iter(range(1000))
    prefix = workflow_id if not depth else f"{workflow_id}.{random.randrange(1000)}"
    steps = [_step(random, prefix, numbers, others, depth) for _ in range(random.randint(1, 3 if depth else 5))]
    if signals:
        at = random.randrange(len(steps) + 1)
        steps.insert(at, {"kind": "await", "id": "await", "signals": random.randint(1, signals)})
        if random.random() < 0.3:
            steps.insert(random.randint(at + 1, len(steps)), {"kind": "continue", "id": "continue"})
    elif random.random() < 0.15:
        steps.insert(random.randrange(len(steps) + 1), {"kind": "continue", "id": "continue"})
    return {"steps": steps, "queue": random.choice(QUEUES), "fails": random.random() < 0.1}


def _step(random: Random, prefix: str, numbers: Iterator[int], others: Sequence[str], depth: int) -> Step:
    kinds = ["activity"] * 5 + ["timer"] * 2 + ["group"] + (["child"] * 2 if depth < 2 else []) + ["signal"]
    kind = random.choice(kinds)
    step: Step = {"kind": kind, "id": f"{kind}-{next(numbers)}"}
    match kind:
        case "activity":
            step["attempts"] = random.choice((1, 1, 3, 0))
            step["failures"] = random.choice((0, 0, 0, 1, 2))
            step["timeout_s"] = random.choice((2, 5))
            step["heartbeats"] = random.random() < 0.2
            step["eager"] = random.random() < 0.3
        case "timer":
            step["after_s"] = random.choice((1, 2, 5, 20))
        case "group":
            step["steps"] = [_step(random, prefix, numbers, others, 2) for _ in range(random.randint(2, 4))]
        case "child":
            child_id = f"{prefix}/{step['id']}"
            step |= {
                "workflow_id": child_id,
                "program": draw(random, child_id, 0, others, depth + 1),
                "waits": random.random() < 0.8,
                "abandoned": random.random() < 0.3,
            }
        case "signal":
            step["target"] = random.choice([*others, "nobody"])
    return step


def payloads(value: object) -> Payloads:
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())])


def value_of(message: Payloads) -> Any:
    return json.loads(message.payloads[0].data) if message.payloads else None


def seconds(value: float) -> Duration:
    return Duration(seconds=int(value), nanos=int(value % 1 * 1e9))


@dataclass(slots=True)
class Told:
    """What a history tells a program."""

    program: Step = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)  # steps
    over: set[str] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)  # of the events that began steps
    signals: list[Any] = field(default_factory=list)
    accepted: dict[str, Request] = field(default_factory=dict)  # updates that are not completed, by id
    canceled: bool = False

    @classmethod
    def by(cls, events: Sequence[HistoryEvent]) -> "Told":
        told = cls()
        for event in events:
            name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
            attributes = getattr(event, event.WhichOneof("attributes") or "")
            told._hear(name, event.event_id, attributes)
        return told

    def _hear(self, name: str, event_id: int, attributes: Any) -> None:
        match name:
            case "workflow_execution_started":
                self.program = value_of(attributes.input)
            case "workflow_execution_signaled":
                self.signals.append(value_of(attributes.input))
            case "workflow_execution_cancel_requested":
                self.canceled = True
            case "activity_task_scheduled":
                self._begin(event_id, attributes.activity_id)
            case "timer_started":
                self._begin(event_id, attributes.timer_id)
            case "timer_fired":
                self.over.add(attributes.timer_id)
            case "start_child_workflow_execution_initiated":
                self._begin(event_id, attributes.workflow_id.rpartition("/")[2])
            case "child_workflow_execution_started":
                self.over.add(f"start of {self.names[attributes.initiated_event_id]}")
            case "signal_external_workflow_execution_initiated":
                self._begin(event_id, attributes.control)
            case "workflow_execution_update_accepted":
                self.accepted[attributes.protocol_instance_id] = attributes.accepted_request
            case "workflow_execution_update_completed":
                self.accepted.pop(attributes.meta.update_id)
            case _ if name.startswith("activity_task_") and name.endswith(("completed", "failed", "timed_out")):
                self.over.add(self.names[attributes.scheduled_event_id])
            case _ if name.startswith(("child_workflow", "start_child", "signal_external", "external_workflow")):
                step = self.names[attributes.initiated_event_id]
                self.over |= {step, f"start of {step}"}

    def _begin(self, event_id: int, step: str) -> None:
        self.begun.add(step)
        self.names[event_id] = step


@dataclass(slots=True)
class Decided:
    commands: list[Command] = field(default_factory=list)
    messages: list[ProtocolMessage] = field(default_factory=list)


def decide(events: Sequence[HistoryEvent], asked: Sequence[ProtocolMessage], workflow_id: str) -> Decided:
    """What a workflow does next, and what it says to the updates that came with its task."""
    told, decided = Told.by(events), Decided()
    for update_id in told.accepted:
        _complete_update(decided, update_id, len(told.signals))
    for message in asked:
        _answer_update(decided, message, len(told.signals))
    if told.canceled:
        decided.commands.append(command("cancel_workflow_execution"))
        return decided
    for index, step in enumerate(told.program["steps"]):
        if step["kind"] == "continue":
            decided.commands.append(_continued(told.program, told.program["steps"][index + 1 :]))
            return decided
        if not _is_over(told, step):
            decided.commands.extend(_beginnings(told, step, workflow_id))
            return decided
    if told.program["fails"]:
        failure = Failure(message="as planned", application_failure_info=ApplicationFailureInfo(type="Planned"))
        decided.commands.append(command("fail_workflow_execution", failure=failure))
    else:
        decided.commands.append(command("complete_workflow_execution", result=payloads(len(told.signals))))
    return decided


def _is_over(told: Told, step: Step) -> bool:
    match step["kind"]:
        case "await":
            return len(told.signals) >= int(step["signals"])
        case "group":
            return all(_is_over(told, each) for each in step["steps"])
        case "child" if not step["waits"]:
            return f"start of {step['id']}" in told.over
    return step["id"] in told.over


def _beginnings(told: Told, step: Step, workflow_id: str) -> list[Command]:
    if step["kind"] == "group":
        return [made for each in step["steps"] for made in _beginnings(told, each, workflow_id)]
    if step["id"] in told.begun or step["kind"] == "await":
        return []
    return [_begin(step, told.program["queue"])]


def _begin(step: Step, queue: str) -> Command:
    match step["kind"]:
        case "activity":
            return command(
                "schedule_activity_task",
                activity_id=step["id"],
                activity_type=ActivityType(name="Act"),
                task_queue=TaskQueue(name=queue),
                request_eager_execution=step["eager"],
                input=payloads(step),
                start_to_close_timeout=seconds(step["timeout_s"]),
                schedule_to_close_timeout=seconds(120),
                heartbeat_timeout=seconds(1.5) if step["heartbeats"] else None,
                retry_policy=RetryPolicy(
                    initial_interval=seconds(0.2), backoff_coefficient=2, maximum_attempts=step["attempts"]
                ),
            )
        case "timer":
            return command("start_timer", timer_id=step["id"], start_to_fire_timeout=seconds(step["after_s"]))
        case "child":
            policies = ParentClosePolicy
            abandon, terminate = policies.PARENT_CLOSE_POLICY_ABANDON, policies.PARENT_CLOSE_POLICY_TERMINATE
            return command(
                "start_child_workflow_execution",
                workflow_id=step["workflow_id"],
                workflow_type=TYPE,
                task_queue=TaskQueue(name=step["program"]["queue"]),
                input=payloads(step["program"]),
                workflow_task_timeout=seconds(3),
                parent_close_policy=abandon if step["abandoned"] else terminate,
            )
    return command(
        "signal_external_workflow_execution",
        execution=WorkflowExecution(workflow_id=step["target"]),
        signal_name="external",
        input=payloads(f"external {step['id']}"),
        control=step["id"],
    )


def _continued(program: Step, steps: Sequence[Step]) -> Command:
    return command(
        "continue_as_new_workflow_execution",
        workflow_type=TYPE,
        task_queue=TaskQueue(name=program["queue"]),
        input=payloads(program | {"steps": steps}),
        workflow_task_timeout=seconds(3),
    )


# Updates


def _answer_update(decided: Decided, asked: ProtocolMessage, signals: int) -> None:
    """An update named `reject` is rejected, `later` is completed with the next task, any other at once."""
    request = Request()
    asked.body.Unpack(request)
    update_id = asked.protocol_instance_id
    if request.input.name == "reject":
        _say(
            decided,
            f"{update_id}/reject",
            update_id,
            Rejection(
                rejected_request_message_id=asked.id,
                rejected_request_sequencing_event_id=asked.event_id,
                rejected_request=request,
                failure=Failure(message="rejected", application_failure_info=ApplicationFailureInfo(type="No")),
            ),
        )
        return
    _say(
        decided,
        f"{update_id}/accept",
        update_id,
        Acceptance(
            accepted_request_message_id=asked.id,
            accepted_request_sequencing_event_id=asked.event_id,
            accepted_request=request,
        ),
        commanded=True,
    )
    if request.input.name == "later":
        decided.commands.append(command("start_timer", timer_id=update_id, start_to_fire_timeout=seconds(0.5)))
    else:
        _complete_update(decided, update_id, signals)


def _complete_update(decided: Decided, update_id: str, signals: int) -> None:
    response = Response(meta=Meta(update_id=update_id), outcome=Outcome(success=payloads(signals)))
    _say(decided, f"{update_id}/complete", update_id, response, commanded=True)


def _say(decided: Decided, message_id: str, update_id: str, body: Message, *, commanded: bool = False) -> None:
    packed = AnyProto()
    packed.Pack(body)
    decided.messages.append(ProtocolMessage(id=message_id, protocol_instance_id=update_id, body=packed))
    if commanded:
        decided.commands.append(command("protocol_message", message_id=message_id))
