"""Builders of commands and of the small messages that scenarios are full of."""

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import (
    CancelTimerCommandAttributes,
    CancelWorkflowExecutionCommandAttributes,
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ContinueAsNewWorkflowExecutionCommandAttributes,
    FailWorkflowExecutionCommandAttributes,
    ModifyWorkflowPropertiesCommandAttributes,
    RecordMarkerCommandAttributes,
    RequestCancelActivityTaskCommandAttributes,
    RequestCancelExternalWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
    SignalExternalWorkflowExecutionCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes,
    StartTimerCommandAttributes,
    UpsertWorkflowSearchAttributesCommandAttributes,
)
from temporalio.api.common.v1 import ActivityType, Payload, Payloads, SearchAttributes, WorkflowType
from temporalio.api.enums.v1 import CommandType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.wire import over


def payload(text: str) -> Payload:
    """A JSON string."""
    return Payload(metadata={"encoding": b"json/plain"}, data=f'"{text}"'.encode())


def payloads(*texts: str) -> Payloads:
    """JSON strings."""
    return Payloads(payloads=[payload(text) for text in texts])


def oversize() -> Payloads:
    """One payload of a byte over the limit of a blob, 2 MiB."""
    return Payloads(payloads=[Payload(data=b"x" * (2 * 1024 * 1024 + 1))])


def seconds(value: float) -> Duration:
    """A duration."""
    return Duration(seconds=int(value), nanos=round((value - int(value)) * 1e9))


def keyword(text: str) -> Payload:
    """The value of a search attribute of type Keyword."""
    return Payload(metadata={"encoding": b"json/plain", "type": b"Keyword"}, data=f'"{text}"'.encode())


def shade(text: str) -> SearchAttributes:
    """The search attribute `Shade`, registered on both servers."""
    return SearchAttributes(indexed_fields={"Shade": keyword(text)})


def failure(message: str = "boom", kind: str = "Boom", **info: bool | Duration) -> Failure:
    """An application failure; `info` sets further fields of ApplicationFailureInfo."""
    application = ApplicationFailureInfo(type=kind)
    for name, value in info.items():
        if isinstance(value, Duration):
            getattr(application, name).CopyFrom(value)
        else:
            setattr(application, name, value)
    return Failure(message=message, source="worker", stack_trace="at line 1", application_failure_info=application)


def schedule_activity(
    activity_id: str, queue: str, change: ScheduleActivityTaskCommandAttributes | None = None
) -> Command:
    """An activity with ten seconds to run, with the fields of `change` laid over it."""
    attributes = ScheduleActivityTaskCommandAttributes(
        activity_id=activity_id, activity_type=ActivityType(name="Activity"), task_queue=TaskQueue(name=queue)
    )
    if change is None or not (
        change.HasField("start_to_close_timeout") or change.HasField("schedule_to_close_timeout")
    ):
        attributes.start_to_close_timeout.CopyFrom(seconds(10))
    return Command(
        command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=over(attributes, change),
    )


def cancel_activity(scheduled_event_id: int) -> Command:
    """Ask for the cancellation of an activity."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK,
        request_cancel_activity_task_command_attributes=RequestCancelActivityTaskCommandAttributes(
            scheduled_event_id=scheduled_event_id
        ),
    )


def start_timer(timer_id: str, after_s: float) -> Command:
    """A timer."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_START_TIMER,
        start_timer_command_attributes=StartTimerCommandAttributes(
            timer_id=timer_id, start_to_fire_timeout=seconds(after_s)
        ),
    )


def cancel_timer(timer_id: str) -> Command:
    """Cancel a timer."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_CANCEL_TIMER,
        cancel_timer_command_attributes=CancelTimerCommandAttributes(timer_id=timer_id),
    )


def complete_workflow(*results: str) -> Command:
    """Complete the workflow."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(
            result=payloads(*results) if results else None
        ),
    )


def fail_workflow(why: Failure | None = None) -> Command:
    """Fail the workflow."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
        fail_workflow_execution_command_attributes=FailWorkflowExecutionCommandAttributes(failure=why or failure()),
    )


def cancel_workflow(*details: str) -> Command:
    """Close the workflow as cancelled."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
        cancel_workflow_execution_command_attributes=CancelWorkflowExecutionCommandAttributes(
            details=payloads(*details) if details else None
        ),
    )


def continue_in_a_second() -> Command:
    """Continue as new. A run younger than a second makes the next one wait for the rest of it, so that a slow machine
    makes none wait; one that asks for a second always does.
    """
    return continue_as_new(ContinueAsNewWorkflowExecutionCommandAttributes(backoff_start_interval=Duration(seconds=1)))


def continue_as_new(change: ContinueAsNewWorkflowExecutionCommandAttributes | None = None) -> Command:
    """Continue as new; what `change` leaves out comes from the current run."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
        continue_as_new_workflow_execution_command_attributes=change
        or ContinueAsNewWorkflowExecutionCommandAttributes(),
    )


def start_child(
    workflow_id: str, queue: str, change: StartChildWorkflowExecutionCommandAttributes | None = None
) -> Command:
    """A child workflow, with the fields of `change` laid over it."""
    attributes = StartChildWorkflowExecutionCommandAttributes(
        workflow_id=workflow_id, workflow_type=WorkflowType(name="Child"), task_queue=TaskQueue(name=queue)
    )
    return Command(
        command_type=CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
        start_child_workflow_execution_command_attributes=over(attributes, change),
    )


def signal_external(attributes: SignalExternalWorkflowExecutionCommandAttributes) -> Command:
    """Signal another workflow."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
        signal_external_workflow_execution_command_attributes=attributes,
    )


def cancel_external(attributes: RequestCancelExternalWorkflowExecutionCommandAttributes) -> Command:
    """Ask for the cancellation of another workflow."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
        request_cancel_external_workflow_execution_command_attributes=attributes,
    )


def record_marker(name: str, **details: str) -> Command:
    """A marker."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_RECORD_MARKER,
        record_marker_command_attributes=RecordMarkerCommandAttributes(
            marker_name=name, details={key: payloads(text) for key, text in details.items()}
        ),
    )


def upsert_search_attributes(attributes: SearchAttributes) -> Command:
    """Set search attributes."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        upsert_workflow_search_attributes_command_attributes=UpsertWorkflowSearchAttributesCommandAttributes(
            search_attributes=attributes
        ),
    )


def modify_properties(attributes: ModifyWorkflowPropertiesCommandAttributes) -> Command:
    """Change the memo."""
    return Command(
        command_type=CommandType.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES,
        modify_workflow_properties_command_attributes=attributes,
    )
