"""What one more step of a run costs, by how much is pending in it: the decision, its rows and bytes, but no store.

The run has so many activities, timers, children and signals to other workflows pending, and has had as many signals and
updates; each step leaves that number as it is.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.protocol.v1 import Message
from temporalio.api.workflowservice.v1 import RespondWorkflowTaskCompletedRequest

from services.history.codec import run_write
from services.history.core import activities
from services.history.core.completion import Completed, complete_task
from services.history.core.decision import Decision, Limits
from services.history.core.draft import Draft
from services.history.core.finish import finish
from services.history.core.relations import child_closed, signal_answered
from services.history.core.wake import wake
from services.persistence import RunWrite
from services.protos.run_pb2 import TaskToken
from tests.unit.history import commands as c
from tests.unit.history.shell import NAMESPACE, WORKER, Shell, child_closed_request

PENDING = (10, 100, 500, 2000)
ROUNDS = 40
FEW = 100  # commands of one task while the run grows
FAR_S = 1_000_000
MANY = 10**6
ROOMY = Limits(
    activities_pending_max=MANY,
    children_pending_max=MANY,
    external_signals_pending_max=MANY,
    signals_max=MANY,
    updates_max=MANY,
    updates_in_flight_max=MANY,
    history_events_max=MANY,
)
COMPLETED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED

T = TypeVar("T")


@dataclass(slots=True)
class Cost:
    """Of one decision and of turning it into rows."""

    cpu_ns: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Meter:
    """Costs of steps by name. `around` is called with each step, and has to do it."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    around: Callable[[str, Callable[[], object]], object] = lambda _, step: step()


class Grown(Shell):
    """A run with much pending. Unlike `Shell` it does not look at the whole run at each decision."""

    def __init__(self, pending: int, meter: Meter) -> None:
        super().__init__(limits=ROOMY)
        self._meter, self._written = meter, Cost()
        self._numbers = 0
        self.begin()
        self._grow(pending)
        self._meter.costs.clear()

    def _grow(self, pending: int) -> None:
        for first in range(0, pending, FEW):
            numbers = range(first, min(first + FEW, pending))
            for number in numbers:
                self.signal(request_id=f"signal-{number}")
            self.work(*[command for number in numbers for command in self._more(number)])
            for number in numbers:
                self.update(f"update-{number}")
            self.work(messages=[message for number in numbers for message in _answers(f"update-{number}")])
        self._numbers = pending

    @staticmethod
    def _more(number: int) -> Sequence[Command]:
        """One more of each kind of what is pending."""
        return (
            c.schedule_activity(f"activity-{number}", to_close_s=100 * FAR_S),
            c.start_timer(f"timer-{number}", FAR_S + number),
            c.start_child(f"child-{number}"),
            c.signal_external(f"other-{number}"),
        )

    # One step each, with its costs.

    def decide(self, change: Callable[[Draft], object]) -> Decision:
        draft = Draft(self.run, self.given())
        change(draft)
        decision = finish(draft)
        self.commit(decision)
        return decision

    def complete(
        self,
        token: TaskToken,
        *commands: Command,
        messages: Sequence[Message] = (),
        sticky_ns: int = 0,
        eager: bool = False,
        **fields: object,
    ) -> Completed:
        request = RespondWorkflowTaskCompletedRequest(identity=WORKER, commands=commands, messages=messages)
        completed = complete_task(self.run, self.given(request_id=""), token, request, NAMESPACE)
        assert completed.error is None, f"a workflow task was refused: {completed.error}"
        assert completed.decision is not None, "a workflow task was not taken"
        self.commit(completed.decision)
        return completed

    def commit(self, decision: Decision) -> None:
        """What a host does with a decision, but for the store."""
        if decision.durable:
            self._count(run_write(self.run_id, 1, decision), decision)
            self.batches = self.batches or [batch.blob for batch in decision.batches]
            self.pushed.update((task.kind, task.event_id, task.stamp) for task in decision.tasks)
        self.run = decision.run
        task = self.run.info.task
        self.memory_pushed = {(1, task.scheduled_event_id, task.attempt)}

    def _count(self, write: RunWrite, decision: Decision) -> None:
        blobs = [write.blob, *(item.blob or b"" for item in write.items), *(batch.blob for batch in write.batches)]
        self._written.rows += len(blobs) + len(decision.tasks)
        self._written.bytes += sum(len(blob) for blob in blobs) + sum(task.ByteSize() for task in decision.tasks)

    def _measured(self, name: str, step: Callable[[], T]) -> T:
        self._written = Cost()
        results: list[T] = []

        def timed() -> None:
            began_ns = time.process_time_ns()
            results.append(step())
            self._written.cpu_ns = time.process_time_ns() - began_ns

        self._meter.around(name, timed)
        self._meter.costs.setdefault(name, []).append(self._written)
        return results[0]

    def _turn(self, name: str, *commands: Command, messages: Sequence[Message] = ()) -> None:
        """A worker takes the workflow task that is there, and answers it."""
        token = self._measured("workflow task starts", self.poll)
        self._measured(f"it completes: {name}", partial(self.complete, token, *commands, messages=messages))

    def round(self) -> None:
        """One of everything ends, and another one begins."""
        number = self._numbers
        self._numbers += 1
        activity, timer, child, other = self._more(number)
        self._measured("a signal comes", partial(self.signal, request_id=f"signal-{number}"))
        self._turn("another activity", activity)
        token = self._measured("an activity starts", partial(self.start_activity, next(iter(self.run.activities))))
        self._measured("it heartbeats", partial(self.decide, partial(_heartbeat, token)))
        self._measured("it completes", partial(self.decide, partial(_completed, token)))
        self._turn("nothing")
        self.now_ns = next(iter(self.run.timers.values())).fire_time_ns
        self._measured("a timer fires", partial(self.decide, partial(wake, fired_at_ns=self.now_ns)))
        self._turn("another timer", timer)
        closed = child_closed_request(next(iter(self.run.children)), COMPLETED)
        self._measured("a child closes", partial(self.decide, partial(child_closed, closed=closed)))
        self._turn("another child", child)
        sent = next(iter(self.run.signals))
        self._measured("another workflow has a signal", partial(self.decide, partial(_delivered, sent)))
        self._turn("another signal", other)
        self._measured("an update comes", partial(self.update, f"update-{number}"))
        self._turn("the update's answer", messages=_answers(f"update-{number}"))


def _heartbeat(token: TaskToken, draft: Draft) -> None:
    activities.heartbeat(draft, token, None)


def _completed(token: TaskToken, draft: Draft) -> None:
    activities.complete_activity(draft, token, None, WORKER)


def _delivered(initiated_event_id: int, draft: Draft) -> None:
    signal_answered(draft, initiated_event_id, None, NAMESPACE)


def _answers(update_id: str) -> Sequence[Message]:
    return c.accept(update_id), c.respond(update_id)


def measure(pending: int, rounds: int = ROUNDS) -> dict[str, Cost]:
    """The median cost of each step."""
    meter = Meter()
    grown = Grown(pending, meter)
    grown.round()  # the agenda of what is due is made once
    meter.costs.clear()
    for _ in range(rounds):
        grown.round()
    return {name: _median(costs) for name, costs in meter.costs.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        *(int(statistics.median(getattr(cost, name) for cost in costs)) for name in ("cpu_ns", "rows", "bytes"))
    )


def table(pending: Sequence[int] = PENDING) -> str:
    """CPU in microseconds, rows and bytes of each step, and how much they grow from the fewest to the most."""
    return "\n".join(_lines(pending, [measure(count) for count in pending]))


def _lines(pending: Sequence[int], measured: Sequence[dict[str, Cost]]) -> Iterator[str]:
    heads = "".join(f"{f'{count} pending':>24}" for count in pending)
    yield f"{'CPU us, rows, bytes of one step':36}{heads}{'CPU':>8}{'bytes':>8}"
    worst = 0.0
    for name, first in measured[0].items():
        cells = [costs[name] for costs in measured]
        shown = "".join(f"{cost.cpu_ns / 1000:>12.0f}{cost.rows:>5}{cost.bytes:>7}" for cost in cells)
        grown = cells[-1].cpu_ns / max(first.cpu_ns, 1)
        worst = max(worst, grown)
        yield f"{name:36}{shown}{grown:>7.2f}x{cells[-1].bytes / max(first.bytes, 1):>7.2f}x"
    total = sum(cost.cpu_ns for cost in measured[-1].values()) / sum(cost.cpu_ns for cost in measured[0].values())
    yield f"pending: {pending[0]} to {pending[-1]}: all steps {total:.2f}x, the worst {worst:.2f}x"
