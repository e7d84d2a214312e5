"""What clients and other runs ask of a run that is there: signals, cancellation, termination, deletion."""

from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound
from services.history.core.close import terminate_run
from services.history.core.draft import Draft
from services.history.core.rejection import Reason, Rejection, completed
from services.history.core.relations import child_closed, is_pending_child
from services.history.core.signals import request_cancel, signal_run
from services.history.links import signal_link
from services.history.room import Room
from services.protos.history_pb2 import ExternalCancelRequest, ExternalSignalRequest, RecordChildClosedRequest
from services.protos.run_pb2 import Task
from services.rpc import Call


class Requests(Room):
    """SignalWorkflowExecution, RequestCancel, Terminate, Delete; and the same from other runs."""

    async def signal_workflow_execution(
        self, call: Call, request: api.SignalWorkflowExecutionRequest
    ) -> api.SignalWorkflowExecutionResponse:
        execution = request.workflow_execution

        def signal(draft: Draft) -> None:
            signal_run(
                draft,
                name=request.signal_name,
                input=request.input if request.HasField("input") else None,
                identity=request.identity,
                header=request.header if request.HasField("header") else None,
                request_id=request.request_id,
                links=request.links,
            )

        entry = await self.engine.change(call.namespace_id, execution.workflow_id, execution.run_id, signal)
        link = signal_link(call.namespace, entry.run, request.request_id)
        return api.SignalWorkflowExecutionResponse(link=link)

    async def request_cancel_workflow_execution(
        self, call: Call, request: api.RequestCancelWorkflowExecutionRequest
    ) -> None:
        execution = request.workflow_execution

        def cancel(draft: Draft) -> None:
            if draft.run.is_open:  # a closed run, or one already asked, is no error
                request_cancel(
                    draft,
                    reason=request.reason,
                    identity=request.identity,
                    request_id=request.request_id,
                    links=request.links,
                )

        await self.engine.change(
            call.namespace_id,
            execution.workflow_id,
            execution.run_id,
            cancel,
            first_execution_run_id=request.first_execution_run_id,
        )

    async def terminate_workflow_execution(self, call: Call, request: api.TerminateWorkflowExecutionRequest) -> None:
        execution = request.workflow_execution

        def terminate(draft: Draft) -> None:
            if not draft.run.is_open:
                raise completed()
            details = request.details if request.HasField("details") else None
            terminate_run(draft, request.reason, details, request.identity, request.links)

        await self.engine.change(
            call.namespace_id,
            execution.workflow_id,
            execution.run_id,
            terminate,
            first_execution_run_id=request.first_execution_run_id,
        )

    async def delete_workflow_execution(self, call: Call, request: api.DeleteWorkflowExecutionRequest) -> None:
        """Ends the run if it is open, and files its deletion."""

        def delete(draft: Draft) -> None:
            if draft.run.is_open:
                terminate_run(draft, "Delete workflow execution", None, "")
            draft.push(Task.DELETE_RUN)
            draft.tasks[-1].fire_time_ns = draft.now_ns

        execution = request.workflow_execution
        await self.engine.change(call.namespace_id, execution.workflow_id, execution.run_id, delete)

    # From other runs, by outbox tasks.

    async def signal_external(self, call: Call, request: ExternalSignalRequest) -> None:
        signal = request.signal
        execution = signal.workflow_execution

        def decide(draft: Draft) -> None:
            _require_child(draft, request.child_workflow_only, request.source.workflow_id, request.source.run_id)
            signal_run(
                draft,
                name=signal.signal_name,
                input=signal.input if signal.HasField("input") else None,
                identity=signal.identity,
                header=signal.header if signal.HasField("header") else None,
                request_id=signal.request_id,
                source=request.source,
            )

        await self.engine.change(request.namespace_id, execution.workflow_id, execution.run_id, decide)

    async def cancel_external(self, call: Call, request: ExternalCancelRequest) -> None:
        cancel = request.cancel
        execution = cancel.workflow_execution

        def decide(draft: Draft) -> None:
            if not draft.run.is_open:
                return  # it has what was asked for; the reference does not insist on a child either
            _require_child(draft, request.child_workflow_only, request.source.workflow_id, request.source.run_id)
            request_cancel(
                draft,
                reason=cancel.reason,
                identity=cancel.identity,
                request_id=cancel.request_id,
                source=request.source,
                source_initiated_event_id=request.source_initiated_event_id,
            )

        await self.engine.change(request.namespace_id, execution.workflow_id, execution.run_id, decide)

    async def record_child_closed(self, call: Call, request: RecordChildClosedRequest) -> None:
        """A parent that is gone, closed, or knows of the end already has nothing to do."""

        def decide(draft: Draft) -> None:
            if not is_pending_child(draft.run, request):
                raise Rejection(Reason.NOT_FOUND, "Pending child execution not found.")
            child_closed(draft, request)

        workflow = self.engine.workflow(request.namespace_id, request.workflow_id)
        try:
            async with workflow.lock:
                entry = await self.engine.run(workflow, request.run_id)
                while entry.run.info.reset_run_id and not entry.run.is_open:
                    entry = await self.engine.run(workflow, entry.run.info.reset_run_id)
                await self.engine.decide(workflow, entry, decide)
        except NotFound:
            return


def _require_child(draft: Draft, only: bool, workflow_id: str, run_id: str) -> None:
    parent = draft.info.parent
    if only and (parent.workflow_id, parent.run_id) != (workflow_id, run_id):
        raise completed()
