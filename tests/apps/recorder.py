"""Makes calls as a patient user does, and notes what the server acknowledged.

What was acknowledged must be in the histories afterwards: `verify` compares.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from temporalio.api.errordetails.v1 import WorkflowNotReadyFailure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, RPCTimeoutOrCancelledError, WorkflowHandle, WorkflowHistory
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from tests.apps.histories import family

TASK_TIMEOUT = timedelta(seconds=2)
TRY_AGAIN_SECONDS = 0.1
PASSING = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.ABORTED,
    }
)

Handle: TypeAlias = WorkflowHandle[Any, Any]
T = TypeVar("T")


@dataclass
class Acknowledged:
    """What the server said yes to, for one workflow."""

    first_run_id: str = ""  # empty when somebody else's answer to the start was lost
    result: object = None
    signals: list[tuple[str, object]] = field(default_factory=list)
    updates: dict[str, object] = field(default_factory=dict)  # result by update id


class Recorder:
    """Each call is repeated, with the same ids, until the server has answered it."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self.client = client
        self.task_queue = task_queue
        self.acknowledged: dict[str, Acknowledged] = {}
        self._signal_calls: Counter[tuple[str, object]] = Counter()

    async def start(self, workflow: Callable[..., Awaitable[object]], argument: object, workflow_id: str) -> Handle:
        """Start it once, however often the call has to be made."""
        noted = self.acknowledged.setdefault(workflow_id, Acknowledged())
        try:
            handle = await _until_answered(
                lambda: self.client.start_workflow(
                    workflow,
                    argument,
                    id=workflow_id,
                    task_queue=self.task_queue,
                    task_timeout=TASK_TIMEOUT,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                )
            )
        except WorkflowAlreadyStartedError:  # the answer to an earlier call was lost
            return self.client.get_workflow_handle_for(workflow, workflow_id)
        noted.first_run_id = handle.first_execution_run_id or ""
        return self.client.get_workflow_handle_for(workflow, workflow_id)

    async def signal(self, handle: Handle, signal: Callable[[Any, T], None], argument: T) -> None:
        async def call() -> None:
            self._signal_calls[handle.id, argument] += 1
            await handle.signal(signal, argument)

        try:
            await _until_answered(call)
        except RPCError as failure:
            repeated = self._signal_calls[handle.id, argument] > 1
            if failure.status == RPCStatusCode.NOT_FOUND and repeated:
                return  # an earlier call was taken, its answer was lost, and the workflow has completed since
            raise
        self.acknowledged[handle.id].signals.append((signal.__name__, argument))

    async def update(self, handle: Handle, update: Any, argument: object, update_id: str) -> object:
        result: object = await _until_answered(lambda: handle.execute_update(update, argument, id=update_id))
        self.acknowledged[handle.id].updates[update_id] = result
        return result

    async def query(self, handle: Handle, query: Callable[[Any], T]) -> T:
        return await _until_answered(lambda: handle.query(query, rpc_timeout=timedelta(seconds=5)))

    async def result(self, handle: Handle) -> object:
        result: object = await _until_answered(handle.result)
        self.acknowledged[handle.id].result = result
        return result

    def unfinished(self) -> list[str]:
        """The workflows whose result nobody has seen."""
        return [workflow_id for workflow_id, noted in self.acknowledged.items() if noted.result is None]

    async def verify(self, result_type: type) -> list[WorkflowHistory]:
        """Assert that all that was acknowledged is in the histories, and return these, children's included."""
        gathered: list[WorkflowHistory] = []
        for workflow_id, noted in self.acknowledged.items():
            histories = await family(self.client, workflow_id)
            chain = [history for history in histories if history.workflow_id == workflow_id]
            if noted.first_run_id:
                assert chain[0].run_id == noted.first_run_id, f"{workflow_id}: not the run that was acknowledged"
            await self._verify_signals(chain, noted)
            await self._verify_updates(chain, noted)
            if noted.result is not None:
                await self._verify_result(chain[-1], noted.result, result_type)
            gathered += histories
        return gathered

    async def _verify_result(self, last: WorkflowHistory, result: object, result_type: type) -> None:
        completed = last.events[-1].workflow_execution_completed_event_attributes
        stored = await self.client.data_converter.decode(completed.result.payloads, [result_type])
        assert stored == [result], f"{last.workflow_id}: acknowledged {result}, stored {stored}"

    async def _verify_signals(self, chain: list[WorkflowHistory], noted: Acknowledged) -> None:
        for name, argument in noted.signals:
            counts = [await self._count_signal(history.events, name, argument) for history in chain]
            calls = self._signal_calls[chain[0].workflow_id, argument]
            told = f"{chain[0].workflow_id}: signal {name} {argument}, called {calls} times, in runs {counts}"
            assert sum(counts) >= 1, told
            assert max(counts) <= calls, told

    async def _count_signal(self, events: Any, name: str, argument: object) -> int:
        count = 0
        for event in events:
            signaled = event.workflow_execution_signaled_event_attributes
            if signaled.signal_name == name:
                decoded = await self.client.data_converter.decode(signaled.input.payloads, [type(argument)])
                count += decoded == [argument]
        return count

    async def _verify_updates(self, chain: list[WorkflowHistory], noted: Acknowledged) -> None:
        events = [event for history in chain for event in history.events]
        for update_id, result in noted.updates.items():
            accepted = [event for event in events if _accepted_update_id(event) == update_id]
            completed = [event for event in events if _completed_update_id(event) == update_id]
            assert accepted, f"{chain[0].workflow_id}: update {update_id} was answered and is not accepted"
            assert completed, f"{chain[0].workflow_id}: update {update_id} was answered and is not completed"
            outcome = completed[-1].workflow_execution_update_completed_event_attributes.outcome
            decoded = await self.client.data_converter.decode(outcome.success.payloads, [type(result)])
            assert decoded == [result], f"{chain[0].workflow_id}: update {update_id} was {result}, is {decoded}"


def _accepted_update_id(event: HistoryEvent) -> str:
    return event.workflow_execution_update_accepted_event_attributes.accepted_request.meta.update_id


def _completed_update_id(event: HistoryEvent) -> str:
    return event.workflow_execution_update_completed_event_attributes.meta.update_id


async def _until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """The call's answer; the caller's own deadline is the only limit."""
    while True:
        try:
            return await call()
        except RPCTimeoutOrCancelledError as failure:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the caller was cancelled: the SDK says it in this odd way
                raise asyncio.CancelledError from failure
        except RPCError as failure:
            if not _is_passing(failure):
                raise
        await asyncio.sleep(TRY_AGAIN_SECONDS)


def _is_passing(failure: RPCError) -> bool:
    """Whether the same call may succeed later.

    An update is refused with WorkflowNotReadyFailure while the workflow task has failed or timed out several times in
    a row, as it does when workers die under it.
    """
    not_ready = any(detail.Is(WorkflowNotReadyFailure.DESCRIPTOR) for detail in failure.grpc_status.details)
    return not_ready or failure.status in PASSING
