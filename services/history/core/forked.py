"""What the failure of the workflow task at which a reset forks a run says of the state: its clocks begin anew."""

from temporalio.api.history.v1 import HistoryEvent

from services.history.core.run import Run, copy_of
from services.history.core.times import ns_of
from services.protos.run_pb2 import ResetOrigin, RunInfo


def restart(run: Run, event: HistoryEvent) -> None:
    """The run starts with the event and has all the time that it had; its activities are scheduled anew."""
    info, now_ns = run.info, ns_of(event.event_time)
    original_start_time_ns = info.reset_origin.original_start_time_ns or info.start_time_ns
    info.reset_origin.CopyFrom(ResetOrigin(fork_event_id=event.event_id, original_start_time_ns=original_start_time_ns))
    info.execution_time_ns += now_ns - info.start_time_ns
    info.start_time_ns = now_ns
    _restart_deadlines(info, now_ns)
    for scheduled_event_id, activity in run.activities.items():
        anew = copy_of(activity)
        anew.scheduled_time_ns = now_ns  # its time from the first schedule to the close goes on
        run.activities[scheduled_event_id] = anew


def _restart_deadlines(info: RunInfo, now_ns: int) -> None:
    if info.execution_deadline_ns:
        info.execution_deadline_ns = now_ns + info.execution_timeout_ns
    if info.run_deadline_ns:
        info.run_deadline_ns = now_ns + info.run_timeout_ns
        if info.execution_deadline_ns:
            info.run_deadline_ns = min(info.run_deadline_ns, info.execution_deadline_ns)
