"""What can be done next in a program: one table of deeds, how often each, and when it makes sense."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from tests.random_programs import activities, client, worker
from tests.random_programs.story import Flow, Story


@dataclass(frozen=True)
class Deed:
    """One thing that a client or a worker does to one workflow."""

    do: Callable[[Story, Flow, Random], Awaitable[None]]
    weight: int
    makes_sense: Callable[[Flow], bool]

    @property
    def name(self) -> str:
        return self.do.__name__.replace("_", " ")


def _may_fail(flow: Flow) -> bool:
    return flow.held is not None and flow.held.attempt < 3


def _may_be_asked(flow: Flow) -> bool:
    """The query becomes a task of its own, and it is known on which queue."""
    at_rest = flow.is_idle or (not flow.is_open and flow.last_attempt == 1)
    return flow.run_id in flow.answered and at_rest and not flow.has_stuck


def _may_be_updated(flow: Flow) -> bool:
    """A task carries updates in no particular order once it has failed, so no two may wait."""
    return flow.run_id in flow.begun and not flow.is_impatient and not flow.waiting


DEEDS = (
    Deed(client.start, 5, lambda flow: not flow.exists),
    Deed(client.start, 2, lambda flow: flow.exists),
    Deed(client.start, 6, lambda flow: flow.exists and not flow.is_open),
    Deed(client.signal_and_start, 2, lambda flow: True),
    Deed(worker.take, 40, lambda flow: flow.task_waits and not flow.is_impatient),
    Deed(worker.take, 10, lambda flow: flow.task_waits and flow.is_impatient and flow.attempt < 3),
    Deed(worker.take_and_answer, 30, lambda flow: flow.task_waits and flow.is_impatient),
    Deed(worker.answer, 40, lambda flow: flow.held is not None),
    Deed(worker.fail, 4, _may_fail),
    Deed(worker.answer_late, 3, lambda flow: bool(flow.old_tasks)),
    Deed(activities.work, 20, lambda flow: bool(activities.workable(flow))),
    Deed(activities.respond, 20, lambda flow: bool(flow.in_hand)),
    Deed(activities.respond_by_id, 3, lambda flow: bool(flow.activities())),
    Deed(client.signal, 10, lambda flow: flow.exists),
    Deed(client.update_it, 10, lambda flow: flow.is_open and _may_be_updated(flow)),
    Deed(client.update_it, 1, lambda flow: flow.exists and not flow.is_open),
    Deed(client.update_with_start, 3, lambda flow: not flow.exists or not flow.is_open),
    Deed(client.update_with_start, 2, _may_be_updated),
    Deed(client.query_it, 6, _may_be_asked),
    Deed(client.cancel, 4, lambda flow: flow.exists),
    Deed(client.terminate, 2, lambda flow: flow.exists),
    Deed(client.describe, 5, lambda flow: flow.exists),
    Deed(client.read_back, 3, lambda flow: flow.exists),
)


def choose(story: Story, dice: Random) -> tuple[Deed, Flow]:
    """The next deed and the workflow that it is done to."""
    choices = [(deed, flow) for flow in story.flows.values() for deed in DEEDS if deed.makes_sense(flow)]
    return dice.choices(choices, [deed.weight for deed, _ in choices])[0]
