"""Commands and messages of workers, short enough to stand in a test."""

from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import (
    ActivityType,
    Memo,
    Payload,
    Payloads,
    RetryPolicy,
    SearchAttributes,
    WorkflowExecution,
    WorkflowType,
)
from temporalio.api.enums.v1 import CommandType, ParentClosePolicy
from temporalio.api.failure.v1 import Failure
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Rejection, Response

from services.history.core.times import SECOND, duration


def command(name: str, **attributes: object) -> Command:
    """A command by its name in the API, with its attributes' fields."""
    made = Command(command_type=CommandType.Value(f"COMMAND_TYPE_{name.upper()}"))
    field = getattr(made, f"{name}_command_attributes")
    field.CopyFrom(type(field)(**attributes))
    return made


def schedule_activity(
    activity_id: str = "activity",
    *,
    to_close_s: float = 0,
    to_start_s: float = 0,
    start_to_close_s: float = 10,
    heartbeat_s: float = 0,
    retry: RetryPolicy | None = None,
    eager: bool = False,
) -> Command:
    return command(
        "schedule_activity_task",
        activity_id=activity_id,
        activity_type=ActivityType(name="type"),
        task_queue=TaskQueue(name="queue"),
        schedule_to_close_timeout=duration(int(to_close_s * SECOND)),
        schedule_to_start_timeout=duration(int(to_start_s * SECOND)),
        start_to_close_timeout=duration(int(start_to_close_s * SECOND)),
        heartbeat_timeout=duration(int(heartbeat_s * SECOND)),
        retry_policy=retry,
        request_eager_execution=eager,
    )


def cancel_activity(scheduled_event_id: int) -> Command:
    return command("request_cancel_activity_task", scheduled_event_id=scheduled_event_id)


def start_timer(timer_id: str = "timer", seconds: float = 1) -> Command:
    return command("start_timer", timer_id=timer_id, start_to_fire_timeout=duration(int(seconds * SECOND)))


def cancel_timer(timer_id: str = "timer") -> Command:
    return command("cancel_timer", timer_id=timer_id)


def record_marker(name: str = "marker") -> Command:
    return command("record_marker", marker_name=name)


def upsert_search_attributes(**values: bytes) -> Command:
    fields = {name: payload(value) for name, value in values.items()}
    return command("upsert_workflow_search_attributes", search_attributes=SearchAttributes(indexed_fields=fields))


def modify_memo(**values: bytes) -> Command:
    fields = {name: payload(value) for name, value in values.items()}
    return command("modify_workflow_properties", upserted_memo=Memo(fields=fields))


def start_child(
    workflow_id: str = "child",
    policy: ParentClosePolicy.ValueType = ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
) -> Command:
    return command(
        "start_child_workflow_execution",
        workflow_id=workflow_id,
        workflow_type=WorkflowType(name="type"),
        task_queue=TaskQueue(name="queue"),
        parent_close_policy=policy,
    )


def signal_external(workflow_id: str = "other") -> Command:
    execution = WorkflowExecution(workflow_id=workflow_id)
    return command("signal_external_workflow_execution", execution=execution, signal_name="signal")


def cancel_external(workflow_id: str = "other") -> Command:
    return command("request_cancel_external_workflow_execution", workflow_id=workflow_id)


def complete_workflow() -> Command:
    return command("complete_workflow_execution", result=Payloads(payloads=[payload(b'"done"')]))


def fail_workflow(failure: Failure) -> Command:
    return command("fail_workflow_execution", failure=failure)


def cancel_workflow() -> Command:
    return command("cancel_workflow_execution")


def continue_as_new(**attributes: object) -> Command:
    return command("continue_as_new_workflow_execution", **attributes)


def protocol_message(message_id: str) -> Command:
    return command("protocol_message", message_id=message_id)


def payload(data: bytes) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


# Messages about updates.


def accept(update_id: str) -> ProtocolMessage:
    acceptance = Acceptance(accepted_request_message_id=f"{update_id}/request", accepted_request_sequencing_event_id=1)
    return _message(update_id, "accept", acceptance)


def reject(update_id: str) -> ProtocolMessage:
    return _message(update_id, "reject", Rejection(failure=Failure(message="no")))


def respond(update_id: str, about: str = "") -> ProtocolMessage:
    outcome = Outcome(success=Payloads(payloads=[payload(b"1")]))
    return _message(update_id, "respond", Response(meta=Meta(update_id=about or update_id), outcome=outcome))


def _message(update_id: str, verb: str, body: Message) -> ProtocolMessage:
    packed = AnyProto()
    packed.Pack(body)
    return ProtocolMessage(id=f"{update_id}/{verb}", protocol_instance_id=update_id, body=packed)
