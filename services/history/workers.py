"""What workers do: take tasks (by way of matching), answer them, heartbeat."""

import asyncio
from collections.abc import Callable

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument, NotFound
from services.history.cache import PendingQuery, RunEntry, WorkflowEntry
from services.history.core import activities
from services.history.core.commands import namespaces_named, search_attributes_set
from services.history.core.completion import Completed, complete_task, report_failure, require_task
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.rejection import Rejection, completed
from services.history.core.workflow_task import start_task
from services.history.engine import service_error
from services.history.replies import activity_task_reply, activity_token, field_bytes, workflow_task_reply
from services.history.room import Room
from services.protos.history_pb2 import (
    ActivityTaskTokenRequest,
    RecordActivityTaskStartedRequest,
    RecordWorkflowTaskStartedRequest,
)
from services.protos.run_pb2 import Activity, TaskToken, WorkflowTask
from services.rpc import Call

STICKY = 2  # temporalio.api.enums.v1.TaskQueueKind.TASK_QUEUE_KIND_STICKY
NEW_TASK = api.RespondWorkflowTaskCompletedResponse.WORKFLOW_TASK_FIELD_NUMBER
EAGER_ACTIVITY = api.RespondWorkflowTaskCompletedResponse.ACTIVITY_TASKS_FIELD_NUMBER


def parse_token(call: Call, blob: bytes) -> TaskToken:
    """A worker's token; raises InvalidArgument when it is not one of ours, or of another namespace."""
    try:
        token = TaskToken.FromString(blob)
    except DecodeError:
        raise InvalidArgument("Error deserializing task token.") from None
    if not token.workflow_id or not token.namespace_id:
        raise InvalidArgument("Error deserializing task token.")
    if token.namespace_id != call.namespace_id:
        raise InvalidArgument("Operation requested with a token from a different namespace.")
    return token


def take_answers(entry: RunEntry, request: api.RespondWorkflowTaskCompletedRequest) -> dict[str, PendingQuery]:
    """The queries that the worker has answered: what the completion does to its run is nothing to them any more."""
    return {
        query_id: entry.queries.pop(query_id)
        for query_id, result in request.query_results.items()
        if query_id in entry.queries and _is_answer(result)
    }


def _is_answer(result: WorkflowQueryResult) -> bool:
    """What is neither an answer nor an error is as good as nothing."""
    if result.result_type == QueryResultType.QUERY_RESULT_TYPE_ANSWERED:
        return result.HasField("answer") and not result.error_message
    return bool(
        result.result_type == QueryResultType.QUERY_RESULT_TYPE_FAILED
        and result.error_message
        and not result.HasField("answer")
    )


def give_answers(
    entry: RunEntry, answered: dict[str, PendingQuery], request: api.RespondWorkflowTaskCompletedRequest
) -> None:
    """Hands out the worker's answers. A query without one came too late for that task: it travels with the one that
    follows, and when none does, its caller has to look anew.
    """
    for query_id, pending in answered.items():
        if not pending.answer.done():
            pending.answer.set_result(request.query_results[query_id])
    if not (entry.run.is_open and entry.run.info.HasField("task")):
        let_look_anew(entry.queries)
        entry.queries.clear()


def let_look_anew(queries: dict[str, PendingQuery]) -> None:
    """Their callers find out where to ask now."""
    for pending in queries.values():
        if not pending.answer.done():
            pending.answer.set_result(None)


def _is_start_in_memory(entry: RunEntry) -> bool:
    """A worker has the task, and the store does not know."""
    return bool(entry.run.info.task.started_event_id) and not entry.stored_task_started


def _is_speculative(entry: RunEntry) -> bool:
    """Who loses the host's memory has lost the updates that the task was made for, too."""
    return bool(entry.run.info.task.kind == WorkflowTask.SPECULATIVE)


class WorkflowTasks(Room):
    """Workflow tasks: started by matching, completed or failed by workers."""

    async def record_workflow_task_started(self, call: Call, request: RecordWorkflowTaskStartedRequest) -> bytes:
        workflow = self.engine.workflow(request.namespace_id, request.workflow_id)
        poll = request.poll_request
        async with workflow.lock:
            entry = await self.engine.run(workflow, request.run_id)
            draft = Draft(entry.run, self.engine.given(request.namespace_id))
            try:
                start_task(
                    draft,
                    scheduled_event_id=request.scheduled_event_id,
                    stamp=request.stamp,
                    request_id=request.request_id,
                    identity=poll.identity,
                    durable=self.engine.leaving or (request.durable and not _is_speculative(entry)),
                )
            except Rejection as rejection:
                if request.durable and _is_start_in_memory(entry) and not _is_speculative(entry):
                    # This copy was the last that is stored: from now on the start is.
                    await self.engine.decide(workflow, entry, lambda draft: draft.touch())
                raise await self.engine.refusal(workflow, rejection) from None
            await self.engine.commit(workflow, entry, finish(draft))
            self.engine.metrics.workers.task_started(entry.run.info)
            sticky = poll.task_queue.kind == STICKY
            return await workflow_task_reply(self.engine, workflow, entry, call.namespace, sticky=sticky)

    async def hand_over(self) -> None:
        """Before the shards go to other hosts: writes the starts of tasks that workers have in hand, and of those to
        come, so that the next owners take the answers. What cannot be written is handed out again.
        """
        self.engine.leaving = True
        waits = [
            self._write_start(workflow, run_id)
            for workflow in self.engine.cache.entries()
            for run_id, entry in workflow.runs.items()
            if _is_start_in_memory(entry)
        ]
        await asyncio.gather(*waits, return_exceptions=True)

    async def _write_start(self, workflow: WorkflowEntry, run_id: str) -> None:
        async with workflow.lock:
            entry = workflow.runs.get(run_id)
            if entry is not None and _is_start_in_memory(entry):
                await self.engine.decide(workflow, entry, lambda draft: draft.touch())

    async def respond_workflow_task_completed(
        self, call: Call, request: api.RespondWorkflowTaskCompletedRequest
    ) -> bytes:
        token = parse_token(call, request.task_token)
        await self.engine.namespaces.having(token.namespace_id, search_attributes_set(request.commands))
        for name in namespaces_named(request.commands):
            self.engine.namespaces.by_name(name)  # an unknown one is the call's error, not the task's
        workflow = self.engine.workflow(token.namespace_id, token.workflow_id)
        async with workflow.lock:
            entry = await self.engine.run(workflow, token.run_id)
            if entry.started is None:
                await self.engine.started(workflow, entry)
            await self._take_up(workflow, entry, token, request.identity)
            given, attempt = self.engine.given(token.namespace_id, entry), entry.run.info.task.attempt
            try:
                completed = complete_task(entry.run, given, token, request, call.namespace)
            except Rejection as rejection:
                raise await self.engine.refusal(workflow, rejection) from None
            answered = take_answers(entry, request) if completed.error is None else {}
            try:
                await self.engine.commit(workflow, entry, completed.decision)
            except BaseException:
                let_look_anew(answered)
                raise
            give_answers(entry, answered, request)
            if completed.error is not None:
                raise service_error(completed.error)
            sticky = request.HasField("sticky_attributes")
            self.engine.metrics.workers.task_completed(token.namespace_id, request.commands, attempt, sticky=sticky)
            return await self._completed_reply(call, workflow, entry, request, completed)

    async def _take_up(self, workflow: WorkflowEntry, entry: RunEntry, token: TaskToken, identity: str) -> None:
        """Takes a task as started that an earlier owner of the shard handed out, and did not live to write.

        Any change since would have written the start, so as long as nobody was given the task anew it is the worker's.
        """
        task = entry.run.info.task
        if task.started_event_id or task.scheduled_event_id != token.scheduled_event_id:
            return
        draft = Draft(entry.run, self.engine.given(token.namespace_id))
        try:
            start_task(
                draft,
                scheduled_event_id=token.scheduled_event_id,
                stamp=token.attempt,
                request_id=token.request_id,
                identity=identity,
                carries_updates=False,
            )
        except Rejection:
            return
        decision = finish(draft)
        if decision.run.info.task.started_event_id == token.started_event_id and not decision.durable:
            await self.engine.commit(workflow, entry, decision)

    async def _completed_reply(
        self,
        call: Call,
        workflow: WorkflowEntry,
        entry: RunEntry,
        request: api.RespondWorkflowTaskCompletedRequest,
        completed: Completed,
    ) -> bytes:
        reply = b""
        if completed.reset_history_event_id:
            reply = api.RespondWorkflowTaskCompletedResponse(
                reset_history_event_id=completed.reset_history_event_id
            ).SerializeToString()
        metrics = self.engine.metrics.workers
        if completed.new_task_started:
            metrics.task_started(entry.run.info)
            task = await workflow_task_reply(self.engine, workflow, entry, call.namespace, sticky=True)
            reply += field_bytes(NEW_TASK, task)
        for scheduled_event_id in completed.eager_activities:
            activity = entry.run.activities[scheduled_event_id]
            metrics.eager(call.namespace_id, activity.task_queue)
            scheduled = await scheduled_attributes(self, workflow, entry, scheduled_event_id)
            task = activity_task_reply(call.namespace, entry.run, activity, scheduled, eager=True)
            reply += field_bytes(EAGER_ACTIVITY, task)
        return reply

    async def respond_workflow_task_failed(self, call: Call, request: api.RespondWorkflowTaskFailedRequest) -> None:
        token = parse_token(call, request.task_token)

        def fail(draft: Draft) -> None:
            if not draft.run.is_open:
                raise completed()
            require_task(draft.run, token)
            report_failure(draft, request)

        workflow = self.engine.workflow(token.namespace_id, token.workflow_id)
        async with workflow.lock:
            entry = await self.engine.run(workflow, token.run_id)
            attempt = entry.run.info.task.attempt
            await self.engine.decide(workflow, entry, fail)
            self.engine.metrics.workers.task_failed(token.namespace_id, int(request.cause), attempt)

    async def reset_sticky_task_queue(self, call: Call, request: api.ResetStickyTaskQueueRequest) -> None:
        def reset(draft: Draft) -> None:
            if not draft.run.is_open:
                raise completed()
            if draft.info.HasField("sticky"):
                draft.info.ClearField("sticky")
                draft.touch()

        execution = request.execution
        await self.engine.change(call.namespace_id, execution.workflow_id, execution.run_id, reset)


async def scheduled_attributes(
    room: Room, workflow: WorkflowEntry, entry: RunEntry, scheduled_event_id: int
) -> ActivityTaskScheduledEventAttributes:
    event = await room.engine.event(workflow, entry, scheduled_event_id)
    return event.activity_task_scheduled_event_attributes


class ActivityTasks(Room):
    """Activity tasks: started by matching, answered by workers."""

    async def record_activity_task_started(self, call: Call, request: RecordActivityTaskStartedRequest) -> bytes:
        workflow = self.engine.workflow(request.namespace_id, request.workflow_id)
        async with workflow.lock:
            entry = await self.engine.run(workflow, request.run_id)
            await self.engine.decide(
                workflow,
                entry,
                lambda draft: activities.start_activity(
                    draft,
                    scheduled_event_id=request.scheduled_event_id,
                    stamp=request.stamp,
                    request_id=request.request_id,
                    identity=request.poll_request.identity,
                ),
            )
            activity = entry.run.activities[request.scheduled_event_id]
            self.engine.metrics.workers.activity_started(entry.run.info, activity)
            scheduled = await scheduled_attributes(self, workflow, entry, request.scheduled_event_id)
            return activity_task_reply(call.namespace, entry.run, activity, scheduled)

    async def _answer(
        self, call: Call, blob: bytes, decide: Callable[[Draft, TaskToken], object], operation: str
    ) -> RunEntry:
        token = parse_token(call, blob)
        answered: list[Activity] = []

        def answer(draft: Draft) -> None:
            activity = draft.run.activities.get(token.scheduled_event_id)
            decide(draft, token)
            if activity is not None:
                answered.append(activity)

        entry = await self.engine.change(token.namespace_id, token.workflow_id, token.run_id, answer)
        for activity in answered:
            self.engine.metrics.workers.activity_answered(operation, activity, entry.run, self.engine.clock.now_ns())
        return entry

    async def record_activity_task_heartbeat(
        self, call: Call, request: api.RecordActivityTaskHeartbeatRequest
    ) -> api.RecordActivityTaskHeartbeatResponse:
        beaten: list[Activity] = []
        details = request.details if request.HasField("details") else None
        await self._answer(
            call,
            request.task_token,
            lambda draft, token: beaten.append(activities.heartbeat(draft, token, details)),
            "RecordActivityTaskHeartbeat",
        )
        activity = beaten[0]
        return api.RecordActivityTaskHeartbeatResponse(
            cancel_requested=activity.cancel_requested,
            activity_paused=activity.HasField("pause"),
            activity_reset=activity.reset,
        )

    async def respond_activity_task_completed(
        self, call: Call, request: api.RespondActivityTaskCompletedRequest
    ) -> None:
        result = request.result if request.HasField("result") else None
        await self._answer(
            call,
            request.task_token,
            lambda draft, token: activities.complete_activity(draft, token, result, request.identity),
            "RespondActivityTaskCompleted",
        )

    async def respond_activity_task_failed(
        self, call: Call, request: api.RespondActivityTaskFailedRequest
    ) -> api.RespondActivityTaskFailedResponse:
        details = request.last_heartbeat_details if request.HasField("last_heartbeat_details") else None
        failure = request.failure if request.HasField("failure") else None
        await self._answer(
            call,
            request.task_token,
            lambda draft, token: activities.fail_activity(
                draft, token, failure, request.identity, details, request.cause
            ),
            "RespondActivityTaskFailed",
        )
        return api.RespondActivityTaskFailedResponse()

    async def respond_activity_task_canceled(self, call: Call, request: api.RespondActivityTaskCanceledRequest) -> None:
        details = request.details if request.HasField("details") else None
        await self._answer(
            call,
            request.task_token,
            lambda draft, token: activities.cancel_activity(draft, token, details, request.identity),
            "RespondActivityTaskCanceled",
        )

    async def activity_task_token(self, call: Call, request: ActivityTaskTokenRequest) -> bytes:
        workflow = self.engine.workflow(call.namespace_id, request.workflow_id)
        entry = await self.engine.run(workflow, request.run_id)
        if not entry.run.is_open:
            raise service_error(completed())
        activity = entry.run.activity_by_id(request.activity_id)
        if activity is None:
            raise NotFound(
                f"cannot find pending activity with ActivityID {request.activity_id}, check workflow execution "
                "history for more details"
            )
        return activity_token(entry.run, activity, by_id=True)
