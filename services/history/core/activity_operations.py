"""Operators at work on pending activities: pause, unpause, reset. No event speaks of any of it.

A paused activity is neither dispatched nor timed out; the attempt that a worker has in hand may still complete it.
"""

from temporalio.api.workflowservice import v1 as api

from services.history.core.activities import begin_again, forget_heartbeat, put
from services.history.core.activity_options import set_original
from services.history.core.draft import Draft
from services.history.core.indexed import index_paused_activities
from services.history.core.rejection import Reason, Rejection, completed
from services.history.core.run import copy_of
from services.history.core.times import ns_of
from services.protos.history_pb2 import PauseActivityRequest
from services.protos.run_pb2 import Activity, Pause, Task

GOLDEN = 0.6180339887498949  # the fractions of its multiples are spread evenly

Request = (
    api.PauseActivityRequest | api.UnpauseActivityRequest | api.ResetActivityRequest | api.UpdateActivityOptionsRequest
)


def chosen(draft: Draft, request: Request) -> list[Activity]:
    """The pending activities a request means: by id, by type, or all of them."""
    if not draft.run.is_open:
        raise completed()
    activities = list(draft.run.activities.values())
    match request.WhichOneof("activity"):
        case "id":
            activity = draft.run.activity_by_id(request.id)
            activities = [] if activity is None else [activity]
        case "type":
            activities = [activity for activity in activities if activity.activity_type == request.type]
    if not activities:
        why = "Can't find pending activity with such ID. Invalid activityID or activity already completed"
        raise Rejection(Reason.NOT_FOUND, why)
    return activities


def pause_activities(draft: Draft, asked: PauseActivityRequest) -> None:
    """Those that are paused already stay so for their own reasons."""
    request, activities = asked.pause, chosen(draft, asked.pause)
    for activity in activities:
        if not activity.HasField("pause"):
            _pause(draft, activity, request)
        elif asked.refuse_paused and activity.pause.request_id != request.request_id:
            raise Rejection(Reason.FAILED_PRECONDITION, "activity is already paused")
    if not all(activity.HasField("pause") for activity in activities):
        _show(draft)


def _pause(draft: Draft, activity: Activity, request: api.PauseActivityRequest) -> None:
    activity = copy_of(activity)
    activity.pause.CopyFrom(
        Pause(identity=request.identity, reason=request.reason, request_id=request.request_id, time_ns=draft.now_ns)
    )
    if not activity.started_time_ns:
        activity.stamp += 1  # whoever was to dispatch it finds that it is not to be
    put(draft, activity)


def unpause_activities(draft: Draft, request: api.UnpauseActivityRequest) -> None:
    """Those that no worker has begin at once, or within the jitter, even if they were backing off. What is not paused
    is left alone, whatever else is asked for.
    """
    paused = [activity for activity in chosen(draft, request) if activity.HasField("pause")]
    for activity in map(copy_of, paused):
        activity.ClearField("pause")
        if request.reset_attempts:
            activity.attempt = 1
        if request.reset_heartbeat:
            forget_heartbeat(activity)
        if activity.started_time_ns:
            put(draft, activity)
        else:
            begin_again(draft, activity, _at_ns(draft, activity, ns_of(request.jitter)))
    if paused:
        _show(draft)


def reset_activities(draft: Draft, request: api.ResetActivityRequest) -> None:
    """The next attempt of each is its first, at once or within the jitter. A worker that has a later one in hand is no
    longer heard: its attempt is over when its time is. (the reference's)
    """
    activities = chosen(draft, request)
    for activity in map(copy_of, activities):
        activity.attempt = 1
        activity.reset_heartbeat |= request.reset_heartbeat
        if request.restore_original_options:
            set_original(activity)
        if not request.keep_paused:
            activity.ClearField("pause")
        if activity.started_time_ns or activity.HasField("pause"):
            activity.reset = True
            put(draft, activity)
        else:
            begin_again(draft, activity, _at_ns(draft, activity, ns_of(request.jitter)))
    if not request.keep_paused and any(activity.HasField("pause") for activity in activities):
        _show(draft)


def _at_ns(draft: Draft, activity: Activity, jitter_ns: int) -> int:
    """Now, or some time within the jitter: each activity at another one."""
    share = (draft.given.jitter + activity.scheduled_event_id * GOLDEN) % 1
    return draft.now_ns + int(jitter_ns * share)


def _show(draft: Draft) -> None:
    """Lists find the run by the types of its paused activities."""
    if index_paused_activities(draft.run):
        draft.push(Task.UPDATE_VISIBILITY)
