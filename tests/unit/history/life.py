"""A random life of one workflow: what clients, workers, other runs and time may do to it, step by step.

A refused input is one more input. Choices are weighted towards lives that get somewhere.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Callback, Payloads, Priority, RetryPolicy
from temporalio.api.enums.v1 import (
    CancelExternalWorkflowExecutionFailedCause,
    ParentClosePolicy,
    SignalExternalWorkflowExecutionFailedCause,
    StartChildWorkflowExecutionFailedCause,
    WorkflowExecutionStatus,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import (
    StartChildWorkflowExecutionInitiatedEventAttributes,
    WorkflowExecutionOptionsUpdatedEventAttributes,
)
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api

from services.history.core import activities, activity_options
from services.history.core.activity_operations import chosen, pause_activities, reset_activities, unpause_activities
from services.history.core.activity_options import WHOLE, restore_options
from services.history.core.callbacks import Attempt, end_attempt, end_backoff
from services.history.core.close import terminate_run
from services.history.core.decision import Limits
from services.history.core.draft import Draft
from services.history.core.options import update_options
from services.history.core.pause import pause_run, unpause_run
from services.history.core.rejection import Rejection
from services.history.core.relations import (
    cancel_answered,
    child_closed,
    child_start_failed,
    child_started,
    signal_answered,
)
from services.history.core.signals import request_cancel
from services.history.core.times import SECOND, duration
from services.history.core.workflow_task import schedule_task
from services.protos.history_pb2 import PauseActivityRequest
from services.protos.run_pb2 import Activity, Parent, TaskToken
from tests.unit.history import commands as c
from tests.unit.history.shell import NAMESPACE, Shell, activity_token, application_failure, child_closed_request

T = TypeVar("T")

SPANS_NS = [SECOND, 0, 1, SECOND // 1000, SECOND, SECOND, 2 * SECOND, 5 * SECOND, 11 * SECOND]
SECONDS = [0, 1, 5, 30]
CALLBACKS_MAX = 4
SMALL = Limits(
    history_events_max=90,
    history_events_suggest=40,
    buffered_events_max=4,
    activities_pending_max=3,
    children_pending_max=3,
    external_signals_pending_max=3,
    external_cancels_pending_max=3,
    signals_max=12,
    updates_max=6,
    activity_failure_bytes_max=10,
    task_heartbeat_max_ns=20 * SECOND,
)
STATUSES = [
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
]
EXISTS = StartChildWorkflowExecutionFailedCause.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
NO_SIGNAL = (
    SignalExternalWorkflowExecutionFailedCause
).SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
NO_CANCEL = (
    CancelExternalWorkflowExecutionFailedCause
).CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND


class Life:
    """The runs of one chain, one after the other, in `shell`."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.tokens: list[TaskToken] = []  # of workflow tasks, the newest last
        self.activity_tokens: list[TaskToken] = []
        self.names = 0
        self.begin()

    def begin(self) -> None:
        parent = Parent(namespace="default", workflow_id="parent", run_id="parent-run", initiated_event_id=5)
        is_child = self.rarely("is a child")
        self.shell = Shell(limits=self.one_of([Limits(), SMALL], "limits")).begin(
            parent=parent if is_child else None,
            first_task=not is_child,
            retention_ns=self.one_of([0, 60 * SECOND], "retention"),
            workflow_start_delay=duration(self.one_of([0, 0, 0, 3], "delay") * SECOND),
            workflow_run_timeout=duration(self.one_of([0, 0, 0, 0, 20], "run time-out") * SECOND),
            workflow_execution_timeout=duration(self.one_of([0, 0, 0, 0, 40], "execution time-out") * SECOND),
            retry_policy=self.retry_policy(),
            cron_schedule=self.one_of(["", "", "", "* * * * *"], "cron"),
            completion_callbacks=self.callbacks(),
        )

    # Choosing.

    def one_of(self, choices: Sequence[T], what: str) -> T:
        return self.data.draw(st.sampled_from(choices), what)

    def rarely(self, what: str) -> bool:
        return self.one_of([False] * 14 + [True], what)

    def maybe(self, what: str) -> bool:
        return self.one_of([False, True], what)

    def retry_policy(self) -> RetryPolicy | None:
        if self.maybe("no retry policy"):
            return None
        return RetryPolicy(
            initial_interval=duration(self.one_of([1, 5], "first interval") * SECOND),
            backoff_coefficient=self.one_of([0, 1, 2], "coefficient"),
            maximum_attempts=self.one_of([0, 1, 2, 3], "attempts"),
            non_retryable_error_types=self.one_of([[], ["fatal"]], "final types"),
        )

    def failure(self) -> Failure:
        return application_failure(type=self.one_of(["", "fatal"], "type"), non_retryable=self.rarely("final"))

    def step(self) -> None:
        """One input, of those that make sense now (or nearly)."""
        run = self.shell.run
        waiting = [
            a
            for a in run.activities.values()
            if not (a.started_time_ns or a.backing_off or a.held or a.HasField("pause"))
        ]
        task_started = bool(run.info.task.started_event_id)
        task_waits = run.is_open and run.info.HasField("task") and not task_started
        started = [activity_token(a) for a in run.activities.values() if a.started_time_ns]
        steps: list[tuple[int, object, Callable[[], None]]] = [
            (4, True, self.pass_time),
            (1, True, self.delay_wakes),
            (1, True, self.shell.crash),
            (2, True, self.signal),
            (1, run.info.next_event_id > 20, self.request_cancel),
            (3, True, self.update),
            (1, run.info.next_event_id > 60, self.terminate),
            (3 if run.is_paused else 1, run.info.next_event_id > 10, self.pause_or_unpause),
            (1, True, self.update_options),
            (1, run.is_open, self.attach_callbacks),
            (10, not run.is_open and run.callbacks, self.call_back),
            (5, not run.info.completed_task_event_id, self.schedule_first_task),
            (10, task_waits, self.start_workflow_task),
            (10, task_started and self.tokens, self.complete_workflow_task),
            (1, task_started and self.tokens, self.fail_workflow_task),
            (5, waiting, lambda: self.start_activity(waiting)),
            (5, started, lambda: self.answer_activity(started)),
            (1, self.activity_tokens, lambda: self.answer_activity(self.activity_tokens)),
            (1, run.activities, lambda: self.answer_activity(self.tokens_by_id())),
            (2, run.activities, lambda: self.operate(list(run.activities.values()))),
            (3, run.children, self.hear_of_child),
            (2, run.signals, self.answer_signal),
            (2, run.cancels, self.answer_cancel),
            (20, self.shell.successor is not None, self.follow_chain),
            (20, not run.is_open and self.shell.successor is None, self.begin_anew),
        ]
        self.one_of([take for weight, ready, take in steps if ready for _ in range(weight)], "step")()

    def input(self, decide: Callable[[Draft], object]) -> None:
        try:
            self.shell.decide(decide)
        except Rejection:
            return

    # Callbacks.

    def callbacks(self) -> list[Callback]:
        return [Callback(nexus=Callback.Nexus(url="http://there/"))] * self.one_of([0, 0, 1, 2], "callbacks")

    def attach_callbacks(self) -> None:
        self.names += 1
        attributes = WorkflowExecutionOptionsUpdatedEventAttributes(
            attached_request_id=str(self.names), attached_completion_callbacks=self.callbacks()
        )
        if len(self.shell.run.callbacks) < CALLBACKS_MAX:
            self.input(lambda draft: draft.add(attributes))

    def call_back(self) -> None:
        number, callback = self.one_of(list(self.shell.run.callbacks.items()), "callback")
        attempt = self.one_of([Attempt(), Attempt("busy", retryable=True), Attempt("no")], "answer")
        if self.maybe("its back-off ends"):
            self.input(lambda draft: end_backoff(draft, number, callback.attempt))
        else:
            self.input(lambda draft: end_attempt(draft, number, attempt, callback.attempt))

    # Time, and what is lost with memory.

    def pass_time(self) -> None:
        self.shell.advance(self.one_of(SPANS_NS, "time passes"))

    def delay_wakes(self) -> None:
        self.shell.now_ns += self.one_of(SPANS_NS, "wakes are late")

    def follow_chain(self) -> None:
        assert self.shell.successor is not None
        now_ns, self.shell = self.shell.now_ns, self.shell.successor
        self.shell.now_ns = now_ns
        self.forget_tokens()

    def begin_anew(self) -> None:
        self.begin()
        self.forget_tokens()

    def forget_tokens(self) -> None:
        self.tokens.clear()
        self.activity_tokens.clear()

    # Clients.

    def signal(self) -> None:
        try:
            self.shell.signal(self.one_of(["", "a", "b", ""], "request id"))
        except Rejection:
            return

    def request_cancel(self) -> None:
        self.input(lambda draft: request_cancel(draft, reason="why", identity="client", request_id="cancel"))

    def update(self) -> None:
        try:
            self.shell.update(self.one_of([f"u{number}" for number in range(9)], "update id"))
        except Rejection:
            return

    def terminate(self) -> None:
        self.input(lambda draft: terminate_run(draft, "why", None, "client"))

    def pause_or_unpause(self) -> None:
        unpauses = self.shell.run.is_paused and not self.rarely("pause again")
        decide, request_id = unpause_run if unpauses else pause_run, self.one_of(["", "a"], "request id")
        self.input(lambda draft: decide(draft, identity="client", reason="why", request_id=request_id))

    def update_options(self) -> None:
        override = self.one_of([None, VersioningOverride(auto_upgrade=True)], "override")
        priority = self.one_of([None, Priority(priority_key=2)], "priority")
        options = WorkflowExecutionOptions(versioning_override=override, priority=priority)
        path = self.one_of(["versioning_override", "priority", "priority.priority_key"], "path")
        self.input(lambda draft: update_options(draft, options, [path], "client"))

    def schedule_first_task(self) -> None:
        info = self.shell.run.info
        if not info.HasField("task") and not info.backoff_deadline_ns:
            self.input(schedule_task)

    # Workflow tasks.

    def start_workflow_task(self) -> None:
        self.tokens.append(self.shell.poll())

    def token(self) -> TaskToken:
        return self.tokens[-2 if len(self.tokens) > 1 and self.rarely("stale token") else -1]

    def complete_workflow_task(self) -> None:
        messages = self.messages()
        commands = [self.command() for _ in range(self.one_of([0, 1, 1, 2, 3, 4], "commands"))]
        commands += [c.protocol_message(m.id) for m in messages if self.maybe("referenced")]
        if self.rarely("closes"):
            commands.append(self.closing_command())
        try:
            completed = self.shell.complete(
                self.token(),
                *commands,
                messages=messages,
                sticky_ns=5 * SECOND if self.maybe("sticky") else 0,
                eager=self.maybe("eager"),
                return_new_workflow_task=self.maybe("return new task"),
                force_create_new_workflow_task=self.one_of([False, False, False, True], "force new task"),
            )
        except Rejection:
            return
        if completed.new_task_started:
            self.tokens.append(self.shell.token())

    def messages(self) -> list[ProtocolMessage]:
        run, messages = self.shell.run, []
        for update_id in run.admitted:
            verbs = self.one_of([[], [c.accept], [c.accept, c.respond], [c.reject]], f"answer to {update_id}")
            messages += [verb(update_id) for verb in verbs]
        for update_id, update in run.updates.items():
            if not update.completed_event_id and self.maybe(f"respond to {update_id}"):
                messages.append(c.respond(update_id))
        if self.rarely("a message about nothing"):
            messages.append(self.one_of([c.accept, c.reject, c.respond], "verb")("unknown"))
        return messages

    def command(self) -> Command:
        """A command that a worker could send now; now and then one that it should not."""
        run = self.shell.run
        self.names += 1
        new = [self.schedule_activity] * 4 + [self.start_timer, self.modify, self.reach_out]
        builders: list[Callable[[], Command]] = [*new]
        builders += [lambda: c.cancel_activity(self.one_of(sorted(run.activities), "activity"))] * bool(run.activities)
        fired = [e.event.timer_fired_event_attributes.timer_id for e in run.buffered.values()]
        timers = [timer_id for timer_id in (*run.timers, *fired) if timer_id]
        builders += [lambda: c.cancel_timer(self.one_of(timers, "timer"))] * bool(timers)
        if self.rarely("a bad command"):
            builders = [self.bad_command]
        return self.one_of(builders, "command")()

    def schedule_activity(self) -> Command:
        start_to_close_s, to_close_s = self.one_of([(1, 0), (5, 0), (0, 5), (5, 30)], "time-outs")
        return c.schedule_activity(
            f"activity-{self.names}",
            to_close_s=to_close_s,
            to_start_s=self.one_of(SECONDS, "to start"),
            start_to_close_s=start_to_close_s,
            heartbeat_s=self.one_of(SECONDS, "heartbeat"),
            retry=self.retry_policy(),
            eager=self.maybe("eager"),
        )

    def start_timer(self) -> Command:
        timer_id = self.one_of([f"timer-{self.names}", "timer"], "timer id")
        return c.start_timer(timer_id, self.one_of(SECONDS, "delay"))

    def modify(self) -> Command:
        value = self.one_of([b"1", b"null", b"[]"], "value")
        return self.one_of(
            [c.record_marker(), c.upsert_search_attributes(key=value), c.modify_memo(key=value)], "property"
        )

    def reach_out(self) -> Command:
        policy = self.one_of(ParentClosePolicy.values(), "policy")
        return self.one_of([c.start_child("child", policy), c.signal_external(), c.cancel_external()], "other run")

    def bad_command(self) -> Command:
        return self.one_of(
            [
                Command(command_type=1),  # type: ignore[arg-type]  # the stubs want enum members
                Command(command_type=99),  # type: ignore[arg-type]  # as above
                c.cancel_activity(self.one_of([0, 1, 2, 99], "no activity")),
                c.cancel_timer("none"),
                c.protocol_message("none"),
                c.start_timer(next(iter(self.shell.run.timers), "")),
            ],
            "bad command",
        )

    def closing_command(self) -> Command:
        again = c.continue_as_new(backoff_start_interval=duration(self.one_of(SECONDS, "back-off") * SECOND))
        closing = [c.complete_workflow(), c.fail_workflow(self.failure()), c.cancel_workflow(), again]
        return self.one_of(closing, "closing command")

    def fail_workflow_task(self) -> None:
        try:
            self.shell.fail_workflow_task(self.token())
        except Rejection:
            return

    # Activities.

    def start_activity(self, waiting: list[Activity]) -> None:
        activity = self.one_of(waiting, "activity")
        try:
            self.activity_tokens.append(self.shell.start_activity(activity.scheduled_event_id))
        except Rejection:
            return

    def tokens_by_id(self) -> list[TaskToken]:
        return [activity_token(activity, by_id=True) for activity in self.shell.run.activities.values()]

    def answer_activity(self, tokens: list[TaskToken]) -> None:
        token = self.one_of(list(reversed(tokens)), "activity token")
        failure, details = self.failure(), Payloads() if self.maybe("details") else None
        answers: list[Callable[[Draft], object]] = [
            lambda draft: activities.heartbeat(draft, token, details),
            lambda draft: activities.complete_activity(draft, token, None, "worker"),
            lambda draft: activities.fail_activity(draft, token, failure, "worker", details),
            lambda draft: activities.cancel_activity(draft, token, None, "worker"),
        ]
        self.input(self.one_of(answers, "answer"))

    def operate(self, pending: list[Activity]) -> None:
        """What an operator does to a pending activity, and to all that wait for their unpause rather often."""
        activity_id, jitter = self.one_of(pending, "operated on").activity_id, duration(self.one_of(SPANS_NS, "jitter"))
        yes = self.maybe("in every respect")
        unpause_all = api.UnpauseActivityRequest(unpause_all=True, reset_attempts=yes, reset_heartbeat=yes)
        pause = PauseActivityRequest(pause=api.PauseActivityRequest(id=activity_id), refuse_paused=yes)
        reset = api.ResetActivityRequest(
            id=activity_id, keep_paused=yes, reset_heartbeat=yes, restore_original_options=yes, jitter=jitter
        )
        deeds: list[Callable[[Draft], object]] = [
            lambda draft: unpause_activities(draft, unpause_all),
            lambda draft: unpause_activities(draft, api.UnpauseActivityRequest(id=activity_id, jitter=jitter)),
            lambda draft: pause_activities(draft, pause),
            lambda draft: reset_activities(draft, reset),
            lambda draft: self.change_options(draft, chosen(draft, reset)[0]),
        ]
        self.input(self.one_of(deeds, "deed"))

    def change_options(self, draft: Draft, activity: Activity) -> None:
        if self.maybe("restore options"):
            restore_options(draft, activity)
            return
        span = duration(self.one_of(SPANS_NS, "span"))
        options = ActivityOptions(
            start_to_close_timeout=span,
            schedule_to_close_timeout=span,
            heartbeat_timeout=span,
            retry_policy=RetryPolicy(),
        )
        path = self.one_of([*WHOLE[:5], "retry_policy.maximum_interval"], "path")
        activity_options.update_options(draft, activity, options, [path], strict=self.maybe("strict"))

    # Other runs.

    def hear_of_child(self) -> None:
        initiated_id = self.one_of(sorted(self.shell.run.children), "child")
        child, status = self.shell.run.children[initiated_id], self.one_of(STATUSES, "status")
        initiated = StartChildWorkflowExecutionInitiatedEventAttributes(workflow_id=child.workflow_id)
        words: list[Callable[[Draft], object]] = [
            lambda draft: child_started(draft, initiated_id, "child-run", None),
            lambda draft: child_closed(draft, child_closed_request(initiated_id, status)),
        ]
        if not child.started_event_id:
            words.append(lambda draft: child_start_failed(draft, initiated_id, initiated, EXISTS))
        self.input(self.one_of(words, "word"))

    def answer_signal(self) -> None:
        initiated_id = self.one_of(sorted(self.shell.run.signals), "signal")
        cause = self.one_of([None, NO_SIGNAL], "cause")
        self.input(lambda draft: signal_answered(draft, initiated_id, cause, NAMESPACE))

    def answer_cancel(self) -> None:
        initiated_id = self.one_of(sorted(self.shell.run.cancels), "cancel")
        cause = self.one_of([None, NO_CANCEL], "cause")
        self.input(lambda draft: cancel_answered(draft, initiated_id, cause, NAMESPACE))
