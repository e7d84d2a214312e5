"""Fetch all histories that belong to a workflow, and replay them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer

OUR_FAULT_CAUSES = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
    }
)


async def family(client: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The histories of a workflow's runs, oldest first, then those of their children, and so on."""
    newest = await client.get_workflow_handle(workflow_id).fetch_history()
    run_id = newest.events[0].workflow_execution_started_event_attributes.first_execution_run_id
    return await _from_run(client, workflow_id, run_id)


async def _from_run(client: Client, workflow_id: str, run_id: str) -> list[WorkflowHistory]:
    chain: list[WorkflowHistory] = []
    while run_id:
        chain.append(await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history())
        run_id = chain[-1].events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    children: list[WorkflowHistory] = []
    for event in (event for history in chain for event in history.events):
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            children += await _from_run(client, child.workflow_id, child.run_id)
    return chain + children


async def replay(histories: Iterable[WorkflowHistory], workflows: Sequence[type], converter: DataConverter) -> int:
    """Replay each history with the SDK; returns how many, raises on the first that does not fit its code."""

    async def each() -> AsyncIterator[WorkflowHistory]:
        for history in histories:
            check_sound(history)
            yield history

    replayed = await Replayer(workflows=workflows, data_converter=converter).replay_workflows(each())
    assert not replayed.replay_failures, replayed.replay_failures
    return sum(1 for _ in histories)


def check_sound(history: WorkflowHistory) -> None:
    """Event ids count from 1 without a gap, and no workflow task failed for disagreement or in our code."""
    ids = [event.event_id for event in history.events]
    assert ids == list(range(1, len(ids) + 1)), f"{history.workflow_id}: event ids {ids}"
    for event in history.events:
        cause = event.workflow_task_failed_event_attributes.cause
        assert cause not in OUR_FAULT_CAUSES, f"{history.workflow_id}: {event}"


def names(history: WorkflowHistory) -> list[str]:
    """The events' types, as people write them: `WorkflowExecutionStarted`."""
    return [event_name(event.event_type) for event in history.events]


def event_name(event_type: EventType.ValueType) -> str:
    return EventType.Name(event_type).removeprefix("EVENT_TYPE_").title().replace("_", "")
