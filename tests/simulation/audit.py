"""What must hold, whatever happened: at every commit what is cheap to see, and at the end everything."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import History, HistoryEvent

from services.history.codec import run_of
from services.history.core.rebuild import rebuild, settled
from services.history.core.run import RUNNING, Run
from services.persistence import Commit, RunRecord, TaskCategory
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Machine
from tests.simulation.memory import Memory, StoredRun
from tests.simulation.program import value_of
from tests.simulation.world import World
from tests.unit.history.invariants import commands_stand_together, ids_are_contiguous, references_hold

REBUILT_AT_ONCE: Final = 8  # every so many commits, the runs of one are rebuilt at once
TERMINATED: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED


@dataclass(slots=True)
class StoredStory:
    """A run as the database has it, and its events."""

    run_id: str
    stored: StoredRun
    run: Run
    events: list[HistoryEvent]


class Auditor:
    """Reads the database, and the memories of hosts, behind everybody's back."""

    def __init__(self, world: World, memory: Memory, ledger: Ledger) -> None:
        self._world, self._memory, self._ledger = world, memory, ledger
        self._commits = 0
        faults = ("store_refused", "store_unknown", "store_slow", "outages_per_s")
        self._database_was_sound = not any(getattr(world.weather, name) for name in faults)

    # At every commit

    def committed(self, commit: Commit) -> None:
        shard = self._memory.shards[commit.shard_id]
        if commit.range_id != shard.record.range_id:
            self._world.violated(
                f"shard {commit.shard_id} was written under range {commit.range_id} when {shard.record.owner} had"
                f" acquired it under {shard.record.range_id}"
            )
        self._commits += 1
        for write in commit.runs:
            following = 1
            for batch in shard.runs[write.run_id].batches:
                if batch.first_event_id != following:
                    self._world.violated(f"run {write.run_id}: event {batch.first_event_id} follows {following - 1}")
                following = batch.next_event_id
            if self._commits % REBUILT_AT_ONCE == 0:
                self._check_rebuild(self._story(write.run_id, shard.runs[write.run_id]))

    def _story(self, run_id: str, stored: StoredRun) -> StoredStory:
        items = [(kind, item_id, blob) for (kind, item_id), blob in stored.items.items()]
        run = run_of(RunRecord(run_id=run_id, version=stored.version, blob=stored.blob, items=items))
        events = [event for batch in stored.batches for event in History.FromString(batch.blob).events]
        return StoredStory(run_id, stored, run, events)

    def _check_rebuild(self, story: StoredStory, live: Run | None = None) -> None:
        """The history rebuilds to what is stored; `live`: to what a host has in memory."""
        run = live or story.run
        rebuilt = rebuild(
            namespace_id=run.info.namespace_id,
            run_id=story.run_id,
            create_request_id=run.info.create_request_id,
            batches=[batch.blob for batch in story.stored.batches],
            buffered=run.buffered,
        )
        expected = settled(run)
        wrong = [each.name for each in fields(Run) if getattr(rebuilt, each.name) != getattr(expected, each.name)]
        if wrong:
            self._world.violated(f"the history of run {story.run_id} rebuilds to another {', '.join(wrong)}")

    # At the end

    def stories(self) -> Iterator[StoredStory]:
        for shard in self._memory.shards.values():
            for run_id, stored in shard.runs.items():
                yield self._story(run_id, stored)

    def at_the_end(self, machine: Machine) -> None:
        stories = {story.run_id: story for story in self.stories()}
        for story in stories.values():
            self._check_story(story)
        self._check_live(machine, stories)
        self._check_starts(stories)
        self._check_signals(stories)
        self._check_answers(stories)
        self._check_results(stories)
        self._check_lists(stories)
        self._check_leftovers()

    def _check_story(self, story: StoredStory) -> None:
        try:
            ids_are_contiguous(story.events)
            references_hold(story.events)
            commands_stand_together(story.events)
        except AssertionError as error:
            self._world.violated(f"run {story.run_id}: {error}")
        self._check_rebuild(story)
        if story.run.is_open:
            self._world.violated(f"run {story.run_id} of {story.stored.workflow_id} is open: {_last(story.events)}")

    def _check_live(self, machine: Machine, stories: dict[str, StoredStory]) -> None:
        for history in machine.histories():
            engine = history.engine
            for workflow in engine.cache.entries():
                for run_id, entry in workflow.runs.items():
                    story = stories.get(run_id)
                    if story is None or entry.version != story.stored.version:
                        self._world.violated(f"{engine.home.address} remembers run {run_id} as it is not")
                    else:
                        self._check_rebuild(story, entry.run)

    def _check_starts(self, stories: dict[str, StoredStory]) -> None:
        firsts = Counter(
            s.stored.workflow_id for s in stories.values() if s.run_id == s.run.info.first_execution_run_id
        )
        for workflow_id, run_ids in self._ledger.starts.items():
            missing = run_ids - stories.keys()
            if missing:
                self._world.violated(f"{workflow_id}: runs {sorted(missing)} were acknowledged and are not there")
        for workflow_id, count in firsts.items():
            if count > 1:
                self._world.violated(f"{workflow_id} was started {count} times")

    def _check_signals(self, stories: dict[str, StoredStory]) -> None:
        seen: set[str] = set()
        for story in stories.values():
            ids = Counter(
                str(value_of(event.workflow_execution_signaled_event_attributes.input))
                for event in story.events
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
            )
            seen |= ids.keys()
            doubled = [signal for signal, count in ids.items() if count > 1 and signal in self._ledger.sent_signals]
            if doubled:
                self._world.violated(f"run {story.run_id} has signals more than once: {doubled}")
        for signal, workflow_id in self._ledger.signals.items():
            if signal not in seen:
                self._world.violated(f"signal {signal} to {workflow_id} was acknowledged and is lost")

    def _check_answers(self, stories: dict[str, StoredStory]) -> None:
        tasks, activities, updates = set(), set(), set()
        for story in stories.values():
            names = {}
            for event in story.events:
                attributes = getattr(event, event.WhichOneof("attributes") or "")
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                    tasks.add((story.run_id, attributes.started_event_id))
                elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    names[event.event_id] = attributes.activity_id
                elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                    activities.add((story.run_id, names[attributes.scheduled_event_id]))
                elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                    updates.add(attributes.meta.update_id)
        for task in self._ledger.workflow_tasks:
            if task not in tasks:
                self._world.violated(f"the completion of workflow task {task} was acknowledged and is lost")
        for activity in self._ledger.activities:
            if activity not in activities:
                self._world.violated(f"the completion of activity {activity} was acknowledged and is lost")
        for update_id in self._ledger.updates:
            if update_id not in updates:
                self._world.violated(f"update {update_id} was acknowledged and is lost")

    def _check_results(self, stories: dict[str, StoredStory]) -> None:
        statuses: dict[str, list[int]] = {}
        for story in stories.values():
            statuses.setdefault(story.stored.workflow_id, []).append(story.run.info.status)
        for workflow_id in self._ledger.terminations:
            if TERMINATED not in statuses.get(workflow_id, ()):
                self._world.violated(f"{workflow_id} was terminated, as was acknowledged, and is not")

    def _check_lists(self, stories: dict[str, StoredStory]) -> None:
        listed = {run_id: record.status for (_, run_id), record in self._memory.visible.items()}
        actual = {story.run_id: story.run.info.status for story in stories.values()}
        if listed != actual:
            wrong = sorted(key for key in listed.keys() | actual.keys() if listed.get(key) != actual.get(key))
            self._world.violated(f"lists do not show runs as they are: {wrong}")

    def leftovers(self) -> list[str]:
        """Tasks that somebody should have done and deleted."""
        found = [
            f"{len(shard.tasks[category])} {category.name} tasks of shard {shard_id}"
            for shard_id, shard in self._memory.shards.items()
            for category in (TaskCategory.IMMEDIATE, TaskCategory.VISIBILITY)
            if shard.tasks[category]
        ]
        found += [f"{len(queue.tasks)} tasks of {key}" for key, queue in self._memory.queues.items() if queue.tasks]
        return found

    def _check_leftovers(self) -> None:
        """A deletion that the database did not do is not tried again: its rows go with the next one."""
        for leftover in self.leftovers() if self._database_was_sound else ():
            self._world.violated(f"left over: {leftover}")

    def open_runs(self) -> list[str]:
        return [
            f"{story.stored.workflow_id}/{story.run_id[-4:]}: {_last(story.events)}"
            for story in self.stories()
            if story.run.info.status == RUNNING
        ]


def _last(events: Sequence[HistoryEvent]) -> str:
    names = [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events[-4:]]
    return f"{len(events)} events, {' '.join(names)}"
