"""What time alone does to a run: everything that is due when its wake fires."""

from temporalio.api.history.v1 import TimerFiredEventAttributes

from services.history.core.activities import advance_activity
from services.history.core.agenda import due
from services.history.core.apply import Item
from services.history.core.close import time_out_run
from services.history.core.deadlines import activity_deadline, task_deadline
from services.history.core.draft import Draft
from services.history.core.workflow_task import schedule_task, time_out_task


def wake(draft: Draft, fired_at_ns: int) -> None:
    """Does what is due at `draft.now_ns`. `fired_at_ns` is the instant the wake stood for; a later one is re-armed."""
    info, now_ns = draft.info, draft.now_ns
    if not draft.run.is_open:
        return
    if info.armed_wake_ns and info.armed_wake_ns <= max(now_ns, fired_at_ns):
        draft.rearm()
    for deadline_ns, chain_is_over in ((info.execution_deadline_ns, True), (info.run_deadline_ns, False)):
        if 0 < deadline_ns <= now_ns:
            time_out_run(draft, chain_is_over or deadline_ns == info.execution_deadline_ns)
            return
    if 0 < info.backoff_deadline_ns <= now_ns and not draft.run.is_paused:
        info.backoff_deadline_ns = 0
        schedule_task(draft)
    if 0 < task_deadline(info) <= now_ns:
        time_out_task(draft)
    changed = due(draft.run, now_ns)
    _fire_timers(draft, [str(key) for item, key in changed if item == Item.TIMER])
    for scheduled_event_id in sorted(int(key) for item, key in changed if item == Item.ACTIVITY):
        activity = draft.run.activities.get(scheduled_event_id)
        if activity is not None and 0 < activity_deadline(activity) <= now_ns:
            advance_activity(draft, activity)


def _fire_timers(draft: Draft, timer_ids: list[str]) -> None:
    timers = [draft.run.timers[timer_id] for timer_id in timer_ids]
    for timer in sorted(timers, key=lambda timer: (timer.fire_time_ns, timer.started_event_id)):
        draft.add(TimerFiredEventAttributes(timer_id=timer.timer_id, started_event_id=timer.started_event_id))
    if timers:
        schedule_task(draft)
