"""Reading runs: their history, page by page or as it grows, and their description."""

import asyncio

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType, TimeoutType
from temporalio.api.history.v1 import History, HistoryEvent, WorkflowExecutionContinuedAsNewEventAttributes
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument
from services.history.cache import RunEntry, WorkflowEntry
from services.history.describe import description
from services.history.replies import field_bytes, unwritten_events
from services.history.room import Room
from services.history.waits import wait_for
from services.protos.run_pb2 import HistoryPageToken, WorkflowTask
from services.rpc import Call

HISTORY = api.GetWorkflowExecutionHistoryResponse.HISTORY_FIELD_NUMBER
TOKEN = api.GetWorkflowExecutionHistoryResponse.NEXT_PAGE_TOKEN_FIELD_NUMBER
DEADLINE_MARGIN_S = 1.0
FOLLOWS_NEXT_RUN = "follows-next-run-id"
CLOSE_EVENT = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


class Reads(Room):
    """GetWorkflowExecutionHistory, its reverse, and DescribeWorkflowExecution."""

    async def describe_workflow_execution(
        self, call: Call, request: api.DescribeWorkflowExecutionRequest
    ) -> api.DescribeWorkflowExecutionResponse:
        workflow = self.engine.workflow(call.namespace_id, request.execution.workflow_id)
        entry = await self.engine.run(workflow, request.execution.run_id)
        return description(entry.run, self.engine.clock.now_ns())

    async def get_workflow_execution_history(
        self, call: Call, request: api.GetWorkflowExecutionHistoryRequest
    ) -> bytes:
        workflow = self.engine.workflow(call.namespace_id, request.execution.workflow_id)
        token = parse_page_token(request.next_page_token, request.execution.run_id)
        entry = await self.engine.run(workflow, token.run_id or request.execution.run_id)
        if not token.run_id:
            token.run_id = entry.run.info.run_id
            token.next_event_id = 1
        entry = await self._wait(call, workflow, entry, request, token)
        if request.history_event_filter_type == CLOSE_EVENT:
            return await self._close_event(call, workflow, entry, request, token)
        return await self._page(workflow, entry, request, token)

    async def _wait(
        self,
        call: Call,
        workflow: WorkflowEntry,
        entry: RunEntry,
        request: api.GetWorkflowExecutionHistoryRequest,
        token: HistoryPageToken,
    ) -> RunEntry:
        """Waits for events the caller has not seen, or for the close: at most the long-poll interval."""
        if not request.wait_new_event:
            return entry
        interval_s = self.engine.config.get(limits.HISTORY_LONG_POLL, call.namespace).total_seconds()
        until = self.engine.clock.monotonic() + interval_s
        if call.deadline is not None:
            until = min(until, call.deadline - DEADLINE_MARGIN_S)
        only_close = request.history_event_filter_type == CLOSE_EVENT
        while (
            entry.run.is_running
            and not self.engine.draining
            and (only_close or token.next_event_id >= known_events_end(entry))
        ):
            watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            entry.watchers.add(watcher)
            try:
                if not await wait_for(self.engine.clock, watcher, until):
                    break
            finally:
                entry.watchers.discard(watcher)
            entry = await self.engine.run(workflow, token.run_id)
        return entry

    async def _close_event(
        self,
        call: Call,
        workflow: WorkflowEntry,
        entry: RunEntry,
        request: api.GetWorkflowExecutionHistoryRequest,
        token: HistoryPageToken,
    ) -> bytes:
        """Only the last event, of a closed run; of an open one nothing, and a token for those who wait."""
        if entry.run.is_running:
            return _response(b"", token if request.wait_new_event else None)
        event = await self.engine.event(workflow, entry, entry.run.info.next_event_id - 1)
        if FOLLOWS_NEXT_RUN not in call.client_features:
            event = as_continued(event)
        return _response(History(events=[event]).SerializeToString(), None)

    async def _page(
        self,
        workflow: WorkflowEntry,
        entry: RunEntry,
        request: api.GetWorkflowExecutionHistoryRequest,
        token: HistoryPageToken,
    ) -> bytes:
        batches_max = _page_size(request.maximum_page_size)
        run = entry.run
        end = run.info.next_event_id
        blobs: list[bytes] = []
        size, position = 0, token.next_event_id
        stored = await self.engine.batches(workflow, entry, position, end, batches_max) if position < end else ()
        for batch in stored:
            if blobs and size + len(batch.blob) > PAGE_BYTES_MAX:
                break
            blobs.append(batch.blob if batch.first_event_id >= position else _cut(batch.blob, position))
            size += len(batch.blob)
            position = batch.next_event_id
        if position >= end and len(blobs) < batches_max:
            unseen = unwritten_events(run, to_reader=True)[max(position - end, 0) :]
            blobs.extend(unseen)
            position += len(unseen)
        token.next_event_id = position
        full = len(blobs) >= batches_max  # there may be more; if not, the next page is empty (as the reference's)
        more = full or position < known_events_end(entry) or (request.wait_new_event and run.is_running)
        return _response(b"".join(blobs), token if more else None)

    async def get_workflow_execution_history_reverse(
        self, call: Call, request: api.GetWorkflowExecutionHistoryReverseRequest
    ) -> api.GetWorkflowExecutionHistoryReverseResponse:
        workflow = self.engine.workflow(call.namespace_id, request.execution.workflow_id)
        token = parse_page_token(request.next_page_token, request.execution.run_id)
        entry = await self.engine.run(workflow, token.run_id or request.execution.run_id)
        info = entry.run.info
        to_event_id = token.next_event_id or info.next_event_id
        batches_max = _page_size(request.maximum_page_size)
        events: list[HistoryEvent] = []
        pages = 0
        if not token.run_id and info.task.kind == WorkflowTask.NORMAL:
            for blob in reversed(unwritten_events(entry.run)):
                events.extend(History.FromString(blob).events)
                pages += 1
        left = max(batches_max - pages, 0)
        for batch in await self.engine.store.read_history_reverse(workflow.shard_id, info.run_id, to_event_id, left):
            events.extend(reversed(History.FromString(batch.blob).events))
            to_event_id = batch.first_event_id
            pages += 1
        response = api.GetWorkflowExecutionHistoryReverseResponse(history=History(events=events))
        if pages >= batches_max and to_event_id > 1:
            response.next_page_token = HistoryPageToken(
                run_id=info.run_id, next_event_id=to_event_id
            ).SerializeToString()
        return response


def as_continued(event: HistoryEvent) -> HistoryEvent:
    """The close as clients expect it that do not say that they follow `new_execution_run_id` (no SDK does).

    To them a run that a retry or a cron follows was continued as new, or they would take its end for the chain's.
    """
    completed = event.workflow_execution_completed_event_attributes
    failed = event.workflow_execution_failed_event_attributes
    timed_out = event.workflow_execution_timed_out_event_attributes
    continued = WorkflowExecutionContinuedAsNewEventAttributes()
    if completed.new_execution_run_id:
        continued.new_execution_run_id = completed.new_execution_run_id
        if completed.HasField("result"):
            continued.last_completion_result.CopyFrom(completed.result)
    elif failed.new_execution_run_id:
        continued.new_execution_run_id = failed.new_execution_run_id
        if failed.HasField("failure"):
            continued.failure.CopyFrom(failed.failure)
    elif timed_out.new_execution_run_id:
        continued.new_execution_run_id = timed_out.new_execution_run_id
        continued.failure.message, continued.failure.source = "workflow timeout", "Server"
        continued.failure.timeout_failure_info.timeout_type = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
    else:
        return event
    return HistoryEvent(
        event_id=event.event_id,
        event_time=event.event_time,
        event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
        version=event.version,
        task_id=event.task_id,
        workflow_execution_continued_as_new_event_attributes=continued,
    )


PAGE_BATCHES_MAX = 256
PAGE_BYTES_MAX = 2 * 1024 * 1024


def _page_size(asked: int) -> int:
    return min(asked, PAGE_BATCHES_MAX) if asked > 0 else PAGE_BATCHES_MAX


def known_events_end(entry: RunEntry) -> int:
    """The id after the last event that readers are shown, events of a task in memory included."""
    return entry.run.info.next_event_id + len(unwritten_events(entry.run))


def parse_page_token(blob: bytes, run_id: str) -> HistoryPageToken:
    """An empty token for the first page. Raises InvalidArgument when it is not ours, or of another run."""
    if not blob:
        return HistoryPageToken()
    try:
        token = HistoryPageToken.FromString(blob)
    except DecodeError:
        raise InvalidArgument("Invalid NextPageToken.") from None
    if not token.run_id:
        raise InvalidArgument("Invalid NextPageToken.")
    if run_id and run_id != token.run_id:
        raise InvalidArgument("RunId in the request does not match the NextPageToken.")
    return token


def _cut(blob: bytes, from_event_id: int) -> bytes:
    events = [event for event in History.FromString(blob).events if event.event_id >= from_event_id]
    return History(events=events).SerializeToString()


def _response(history: bytes, token: HistoryPageToken | None) -> bytes:
    blob = field_bytes(HISTORY, history)
    return blob if token is None else blob + field_bytes(TOKEN, token.SerializeToString())
