"""Instants at which time alone changes a run. 0 = none.

One stored Wake task per run stands for the earliest of them; when it fires, everything that is due is done and the next
one is armed. A deadline that moved away leaves a wake that finds nothing to do.
"""

from collections.abc import Iterator

from services.history.core.run import PAUSED, Run
from services.history.core.times import ns_of
from services.protos.run_pb2 import Activity, RunInfo


def earliest(*instants: int) -> int:
    """The earliest instant that is set; 0 when none is."""
    return min((at for at in instants if at), default=0)


def after(start_ns: int, timeout_ns: int) -> int:
    """`start_ns + timeout_ns`, or 0 when either is not set."""
    return start_ns + timeout_ns if start_ns and timeout_ns else 0


def activity_deadline(activity: Activity) -> int:
    """The next thing that happens to a pending activity by itself: a retry, or a time-out. Paused, none does."""
    if activity.HasField("pause"):
        return 0
    schedule_to_close = after(activity.first_scheduled_time_ns, activity.schedule_to_close_timeout_ns)
    if activity.backing_off:
        return earliest(0 if activity.held else activity.scheduled_time_ns, schedule_to_close)
    if not activity.started_time_ns:
        return earliest(after(activity.scheduled_time_ns, activity.schedule_to_start_timeout_ns), schedule_to_close)
    return earliest(start_to_close_deadline(activity), heartbeat_deadline(activity), schedule_to_close)


def expiry(activity: Activity) -> int:
    """The last instant at which an attempt may begin: of schedule-to-close as the activity was scheduled."""
    timeout_ns = activity.schedule_to_close_timeout_ns
    if activity.HasField("original_options"):
        timeout_ns = ns_of(activity.original_options.schedule_to_close_timeout)
    return after(activity.first_scheduled_time_ns, timeout_ns)


def start_to_close_deadline(activity: Activity) -> int:
    return after(activity.started_time_ns, activity.start_to_close_timeout_ns)


def heartbeat_deadline(activity: Activity) -> int:
    last_ns = max(activity.started_time_ns, activity.last_heartbeat_time_ns)
    return after(last_ns, activity.heartbeat_timeout_ns) if activity.started_time_ns else 0


def task_deadline(info: RunInfo) -> int:
    """When the workflow task times out: before it is started (sticky and speculative ones), or after."""
    if not info.HasField("task"):
        return 0
    task = info.task
    return task.start_to_close_deadline_ns if task.started_event_id else task.schedule_to_start_deadline_ns


def run_deadline(info: RunInfo) -> int:
    """The end of the first workflow task's back-off, or of the run's or the chain's time."""
    backoff_deadline_ns = 0 if info.status == PAUSED else info.backoff_deadline_ns
    return earliest(backoff_deadline_ns, info.run_deadline_ns, info.execution_deadline_ns)


def deadlines(run: Run) -> Iterator[int]:
    """All of a run's deadlines; a pass over what is pending, made when a wake fires."""
    yield run_deadline(run.info)
    yield task_deadline(run.info)
    for activity in run.activities.values():
        yield activity_deadline(activity)
    for timer in run.timers.values():
        yield timer.fire_time_ns
