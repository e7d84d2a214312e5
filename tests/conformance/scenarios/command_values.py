"""Values of attributes that are odd: durations, policies, priorities, ids, queues; and what is made of them."""

import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import Command
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes as Schedule
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes as StartChild
from temporalio.api.common.v1 import Priority, RetryPolicy
from temporalio.api.enums.v1 import ParentClosePolicy, TaskQueueKind, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.conformance.commands import (
    cancel_external,
    continue_as_new,
    record_marker,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
    start_timer,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest

MIXED = Duration(seconds=1, nanos=-1)
CENTURIES = Duration(seconds=200 * 365 * 24 * 3600)


@scenario
async def command_durations_odd(w: Wire) -> None:
    """Durations of two signs, and of centuries."""
    mixed_timer = start_timer("t", 0)
    mixed_timer.start_timer_command_attributes.start_to_fire_timeout.CopyFrom(MIXED)
    await w.each_alone(
        {
            "timer of two signs": mixed_timer,
            "timer of centuries": start_timer("t", 200 * 365 * 24 * 3600),
            "activity of two signs": schedule_activity("a", w.queue, Schedule(start_to_close_timeout=MIXED)),
            "heartbeat of two signs": schedule_activity("a", w.queue, Schedule(heartbeat_timeout=MIXED)),
            "activity of centuries": schedule_activity("a", w.queue, Schedule(schedule_to_close_timeout=CENTURIES)),
            "child of two signs": start_child("c", w.queue, StartChild(workflow_run_timeout=MIXED)),
            "child of centuries": start_child(w.id("c"), w.queue, StartChild(workflow_execution_timeout=CENTURIES)),
            "next run of two signs": continue_as_new(Continue(workflow_run_timeout=MIXED)),
            "next run of centuries": continue_as_new(
                Continue(workflow_run_timeout=CENTURIES, backoff_start_interval=seconds(60))
            ),
            "back-off of two signs": continue_as_new(Continue(backoff_start_interval=MIXED)),
        }
    )


@scenario
async def command_retry_policies_odd(w: Wire) -> None:
    """Every way a retry policy can be wrong, on an activity, a child and a next run."""
    policies = {
        "negative initial": RetryPolicy(initial_interval=seconds(-1)),
        "initial of two signs": RetryPolicy(initial_interval=MIXED),
        "negative maximum": RetryPolicy(maximum_interval=seconds(-1)),
        "maximum below initial": RetryPolicy(initial_interval=seconds(5), maximum_interval=seconds(1)),
        "negative coefficient": RetryPolicy(backoff_coefficient=-1),
        "coefficient below one": RetryPolicy(backoff_coefficient=0.5),
        "negative attempts": RetryPolicy(maximum_attempts=-1),
        "unknown timeout": RetryPolicy(non_retryable_error_types=["TemporalTimeout:Tea"]),
        "one attempt, all wrong": RetryPolicy(maximum_attempts=1, backoff_coefficient=0.5),
    }
    commands: dict[str, Command] = {}
    for note, policy in policies.items():
        commands[f"activity, {note}"] = schedule_activity("a", w.queue, Schedule(retry_policy=policy))
        commands[f"child, {note}"] = start_child(w.id("c"), w.queue, StartChild(retry_policy=policy))
        commands[f"next run, {note}"] = continue_as_new(
            Continue(retry_policy=policy, backoff_start_interval=seconds(60))
        )
    await w.each_alone(commands)


@scenario
async def command_retry_policies_filled_in(w: Wire) -> None:
    """What a policy leaves open is filled in, on an activity, a child and a next run."""
    policies = {
        "empty": RetryPolicy(),
        "long interval": RetryPolicy(initial_interval=seconds(3)),
        "known timeouts": RetryPolicy(non_retryable_error_types=["TemporalTimeout:StartToClose", "Bad"]),
    }
    commands: dict[str, Command] = {}
    for note, policy in policies.items():
        commands[f"activity, {note}"] = schedule_activity("a", w.queue, Schedule(retry_policy=policy))
        commands[f"child, {note}"] = start_child(w.id(note), w.queue, StartChild(retry_policy=policy))
        commands[f"next run, {note}"] = continue_as_new(
            Continue(retry_policy=policy, backoff_start_interval=seconds(60))
        )
    await w.each_alone(commands)


@scenario
async def command_priorities_odd(w: Wire) -> None:
    """Priorities that make no sense, on activities and children."""
    priorities = {
        "negative key": Priority(priority_key=-1),
        "large key": Priority(priority_key=99),
        "long fairness key": Priority(fairness_key="x" * 65),
        "negative weight": Priority(fairness_weight=-1),
        "large weight": Priority(fairness_weight=2000),
    }
    commands: dict[str, Command] = {}
    for note, priority in priorities.items():
        commands[f"activity, {note}"] = schedule_activity("a", w.queue, Schedule(priority=priority))
        commands[f"child, {note}"] = start_child(w.id(f"c {note}"), w.queue, StartChild(priority=priority))
    await w.each_alone(commands)


@scenario
async def command_times_meet_the_run_timeout(w: Wire) -> None:
    """An activity's and a child's times are fitted to their run's, a timer's is not."""
    await w.start(Start(workflow_run_timeout=seconds(60)))
    long = seconds(600)
    await w.turn(
        schedule_activity("only close", w.queue, Schedule(schedule_to_close_timeout=long)),
        schedule_activity("only start to close", w.queue, Schedule(start_to_close_timeout=long)),
        schedule_activity(
            "everything",
            w.queue,
            Schedule(
                schedule_to_close_timeout=long,
                schedule_to_start_timeout=seconds(500),
                start_to_close_timeout=seconds(5),
                heartbeat_timeout=seconds(50),
            ),
        ),
        start_timer("t", 600),
        start_child(w.id("child"), w.id("child"), StartChild(workflow_run_timeout=long)),
    )


@scenario
async def command_ids_at_the_limit(w: Wire) -> None:
    """Ids and names of exactly as many bytes as there may be, also in letters of several bytes, and one more."""
    just, letters = "x" * 1000, "ü" * 500
    name = w.id("n")
    await w.each_alone(
        {
            "timer": start_timer(just, 60),
            "timer of letters": start_timer(letters, 60),
            "timer of more letters": start_timer(letters + "x", 60),
            "activity": schedule_activity(just, w.queue),
            "activity of more letters": schedule_activity(letters + "x", w.queue),
            "activity queue": schedule_activity("a", just),
            "marker of letters": record_marker(letters),
            "child": start_child(name + "x" * (1000 - len(name)), w.queue),
            "signal name of letters": signal_external(
                SignalExternal(execution=w.execution("someone"), signal_name=letters + "x")
            ),
            "cancel of letters": cancel_external(CancelExternal(workflow_id=letters + "x")),
        }
    )


@scenario
async def command_enums_odd(w: Wire) -> None:
    """Values that no policy has."""
    await w.each_alone(
        {
            "parent close policy": start_child(
                w.id("p"), w.id("nobody"), StartChild(parent_close_policy=ParentClosePolicy.ValueType(99))
            ),
            "reuse policy": start_child(
                w.id("r"), w.id("nobody"), StartChild(workflow_id_reuse_policy=WorkflowIdReusePolicy.ValueType(99))
            ),
        }
    )


@scenario
async def command_queues_odd(w: Wire) -> None:
    """Task queues of another kind, with a normal name, or of none."""
    sticky = TaskQueue(name=w.id("s"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=w.queue)
    empty = TaskQueue()
    activity, child = schedule_activity("a", w.queue), start_child(w.id("c"), w.queue)
    activity.schedule_activity_task_command_attributes.task_queue.CopyFrom(sticky)
    child.start_child_workflow_execution_command_attributes.task_queue.CopyFrom(sticky)
    no_queue = start_child(w.id("n"), w.queue)
    no_queue.start_child_workflow_execution_command_attributes.ClearField("task_queue")
    nameless = schedule_activity("a", w.queue)
    nameless.schedule_activity_task_command_attributes.ClearField("task_queue")
    back_off = seconds(60)
    await w.each_alone(
        {
            "sticky for an activity": activity,
            "sticky for a child": child,
            "none for a child": no_queue,
            "none for an activity": nameless,
            "sticky for the next run": continue_as_new(Continue(task_queue=sticky, backoff_start_interval=back_off)),
            "empty for the next run": continue_as_new(Continue(task_queue=empty, backoff_start_interval=back_off)),
            "reserved for a child": start_child(w.id("r"), "/_sys/other/1"),
        }
    )


@scenario
async def command_activity_times_odd(w: Wire) -> None:
    """Combinations of an activity's times, of which one is longer than another, or zero."""
    times = {
        "zero start to close": Schedule(start_to_close_timeout=seconds(0)),
        "zero schedule to close": Schedule(schedule_to_close_timeout=seconds(0)),
        "start to close longer": Schedule(schedule_to_close_timeout=seconds(5), start_to_close_timeout=seconds(9)),
        "schedule to start longer": Schedule(
            schedule_to_close_timeout=seconds(5), schedule_to_start_timeout=seconds(9)
        ),
        "heartbeat longer": Schedule(start_to_close_timeout=seconds(5), heartbeat_timeout=seconds(9)),
        "all": Schedule(
            schedule_to_close_timeout=seconds(9),
            schedule_to_start_timeout=seconds(3),
            start_to_close_timeout=seconds(5),
            heartbeat_timeout=seconds(1),
        ),
        "fractions": Schedule(start_to_close_timeout=seconds(1.5), heartbeat_timeout=seconds(0.25)),
    }
    await w.each_alone({note: schedule_activity("a", w.id("nobody"), change) for note, change in times.items()})
