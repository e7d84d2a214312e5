"""What descriptions say of a completion callback."""

from temporalio.api.workflow.v1 import CallbackInfo

from services.history.core.run import copy_fields
from services.history.core.times import timestamp
from services.protos.run_pb2 import Callback


def callback_info(callback: Callback) -> CallbackInfo:
    """A callback's address, and how far it has come."""
    described = CallbackInfo(
        callback=callback.callback,
        trigger=CallbackInfo.Trigger(workflow_closed=CallbackInfo.WorkflowClosed()),
        registration_time=timestamp(callback.registration_time_ns),
        state=callback.state,
        attempt=callback.attempt,
    )
    copy_fields(callback, described, ("last_attempt_failure",))
    times = {
        "last_attempt_complete_time": callback.last_attempt_complete_time_ns,
        "next_attempt_schedule_time": callback.next_attempt_time_ns,
    }
    for name, at_ns in times.items():
        if at_ns:
            getattr(described, name).CopyFrom(timestamp(at_ns))
    return described
