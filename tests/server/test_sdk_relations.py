"""Workflows that have to do with one another, by the official SDK: children, external workflows, chains of runs."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowContinuedAsNewError, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    TimeoutError,
    TimeoutType,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from tests.parts.deployed import Serving
from tests.server.sdk import Handle, Stage, event_names, serve
from tests.server.waiting import until

SECOND = timedelta(seconds=1)
STATUS = WorkflowExecutionStatus


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(tmp_path_factory)


@pytest.fixture
async def stage(server: Serving) -> Stage:
    return await Stage.on(server)


async def status_of(stage: Stage, workflow_id: str) -> WorkflowExecutionStatus | None:
    return (await stage.client.get_workflow_handle(workflow_id).describe()).status


@workflow.defn
class Child:
    """Collects what it is told until it is told "end" or "fail"; takes its time to end when cancelled."""

    def __init__(self) -> None:
        self._told: list[str] = []

    @workflow.signal
    def tell(self, text: str) -> None:
        self._told.append(text)

    @workflow.query
    def told(self) -> list[str]:
        return self._told

    @workflow.run
    async def run(self, cancelled: str = "at once") -> list[str]:
        try:
            await workflow.wait_condition(lambda: bool({"end", "fail"} & set(self._told)))
        except asyncio.CancelledError:
            if cancelled == "at once":
                raise
            self._told.append("cancelled")
            await workflow.wait_condition(lambda: "end" in self._told)
            return self._told
        if "fail" in self._told:
            raise ApplicationError("told to", type="Obedience")
        return self._told


@workflow.defn
class Parent:
    """Starts a child and ends as told: with the child, without it, or by cancelling it."""

    @workflow.run
    async def run(self, child_id: str, policy: int, then: str) -> Any:
        child = await workflow.start_child_workflow(
            Child.run,
            id=child_id,
            parent_close_policy=ParentClosePolicy(policy),
            memo={"from": "parent"},
            static_summary="a child",
        )
        assert child.id == child_id
        assert child.first_execution_run_id
        await child.signal(Child.tell, "hello")
        if then == "leave":
            return None
        await child.signal(Child.tell, then)
        return await child


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ParentClosePolicy.TERMINATE, STATUS.TERMINATED),
        (ParentClosePolicy.REQUEST_CANCEL, STATUS.CANCELED),
        (ParentClosePolicy.ABANDON, STATUS.RUNNING),
    ],
)
async def test_a_parent_leaves_its_child(stage: Stage, policy: ParentClosePolicy, expected: STATUS) -> None:
    child_id = f"child-{uuid.uuid4()}"
    async with stage.worker(Parent, Child):
        await stage.run(Parent.run, child_id, policy, "leave")
        await until(lambda: status_of(stage, child_id), expected)
        if expected == STATUS.RUNNING:
            child = stage.client.get_workflow_handle(child_id)
            await child.signal(Child.tell, "end")
            assert await child.result() == ["hello", "end"]


async def test_a_parent_waits_for_its_child(stage: Stage) -> None:
    child_id = f"child-{uuid.uuid4()}"
    async with stage.worker(Parent, Child):
        parent = await stage.start(Parent.run, child_id, ParentClosePolicy.TERMINATE, "end")
        assert await parent.result() == ["hello", "end"]
        described = await stage.client.get_workflow_handle(child_id).describe()
        assert described.parent_id == parent.id
        assert described.root_id == parent.id
        assert await described.memo() == {"from": "parent"}
        assert await described.static_summary() == "a child"

        with pytest.raises(WorkflowFailureError) as failed:
            await stage.run(Parent.run, f"{child_id}-2", ParentClosePolicy.TERMINATE, "fail")
        error = failed.value.cause
        assert isinstance(error, ChildWorkflowError)
        assert (error.workflow_id, error.workflow_type) == (f"{child_id}-2", "Child")
        assert isinstance(error.cause, ApplicationError)
        assert error.cause.type == "Obedience"


async def test_a_child_whose_id_is_taken(stage: Stage) -> None:
    async with stage.worker(TakesId, Child):
        taken = await stage.start(Child.run)
        with pytest.raises(WorkflowFailureError) as failed:
            await stage.run(TakesId.run, taken.id, task_timeout=SECOND)
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "Taken"
        await taken.terminate()


@workflow.defn
class TakesId:
    @workflow.run
    async def run(self, child_id: str) -> None:
        try:
            await workflow.start_child_workflow(Child.run, id=child_id)
        except WorkflowAlreadyStartedError as error:
            raise ApplicationError(error.workflow_id, type="Taken", non_retryable=True) from None


@workflow.defn
class CancelsChild:
    """Cancels its child once it runs and returns what it heard of that, when told to."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._may_go = False

    @workflow.query
    def heard(self) -> list[str]:
        return self._heard

    @workflow.signal
    def go(self) -> None:
        self._may_go = True

    @workflow.run
    async def run(self, child_id: str, cancellation_type: int, cancelled: str) -> list[str]:
        child = await workflow.start_child_workflow(
            Child.run,
            cancelled,
            id=child_id,
            cancellation_type=ChildWorkflowCancellationType(cancellation_type),
            parent_close_policy=ParentClosePolicy.ABANDON,
        )
        child.cancel()
        try:
            self._heard = await child
        except ChildWorkflowError as error:
            self._heard = [type(error.cause).__name__]
        await workflow.wait_condition(lambda: self._may_go)
        return self._heard


@pytest.mark.parametrize("cancelled", ["at once", "later"])
@pytest.mark.parametrize("kind", list(ChildWorkflowCancellationType), ids=lambda kind: kind.name)
async def test_cancellation_of_a_child(stage: Stage, kind: ChildWorkflowCancellationType, cancelled: str) -> None:
    child_id = f"child-{uuid.uuid4()}"
    async with stage.worker(CancelsChild, Child):
        parent = await stage.start(CancelsChild.run, child_id, kind, cancelled)
        waits = kind.name.startswith("WAIT")  # for either, the SDK awaits what the child makes of it
        child = stage.client.get_workflow_handle(child_id)
        expected = ["CancelledError"]
        if cancelled == "later" and kind != ChildWorkflowCancellationType.ABANDON:
            await until(lambda: told(child), ["cancelled"])
            if waits:
                await child.signal(Child.tell, "end")
                expected = ["cancelled", "end"]
        await until(lambda: parent.query(CancelsChild.heard), expected)
        if kind == ChildWorkflowCancellationType.ABANDON:
            await child.signal(Child.tell, "end")
            assert await child.result() == ["end"]
        elif cancelled == "at once":
            await until(lambda: status_of(stage, child_id), STATUS.CANCELED)
        elif not waits:
            assert await child.query(Child.told) == ["cancelled"]
        await parent.signal(CancelsChild.go)
        assert await parent.result() == expected


async def told(child: Handle) -> list[str] | None:
    """What the child was told; None as long as there is no child."""
    try:
        answer: list[str] = await child.query(Child.told)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    return answer


@workflow.defn
class Reaches:
    """Signals and cancels a workflow that is not its child; returns the types of the refusals."""

    @workflow.run
    async def run(self, other: str) -> list[str]:
        handle = workflow.get_external_workflow_handle_for(Child.run, other)
        try:
            await handle.signal(Child.tell, "from afar")
            await handle.cancel()
        except ApplicationError as error:
            return [str(error.type), error.message]
        return []


async def test_external_workflows(stage: Stage) -> None:
    async with stage.worker(Reaches, Child):
        other = await stage.start(Child.run, "later")
        assert await stage.run(Reaches.run, other.id) == []
        await until(lambda: other.query(Child.told), ["from afar", "cancelled"])
        refusal = await stage.run(Reaches.run, "nobody at all")
        assert refusal == [
            "ExternalWorkflowExecutionNotFound",
            "Unable to signal external workflow because it was not found",
        ]


@workflow.defn
class Relay:
    """Takes signals through a chain of runs, and loses none."""

    def __init__(self) -> None:
        self._numbers: list[int] = []

    @workflow.signal
    def add(self, number: int) -> None:
        self._numbers.append(number)

    @workflow.run
    async def run(self, expected: int, had: list[int]) -> list[int]:
        self._numbers = had + self._numbers
        seen = len(had)
        await workflow.wait_condition(lambda: len(self._numbers) > seen or len(self._numbers) >= expected)
        if len(self._numbers) >= expected:
            return self._numbers
        return workflow.continue_as_new(args=[expected, self._numbers], memo={"seen": seen})


async def is_continued(latest: Handle) -> bool:
    """Whether the chain has a second run."""
    description = await latest.describe()
    return description.run_id != description.raw_description.workflow_execution_info.first_run_id


async def test_continue_as_new_with_signals_in_flight(stage: Stage) -> None:
    number = 60
    async with stage.worker(Relay):
        handle = await stage.start(Relay.run, number, [])
        latest = stage.client.get_workflow_handle(handle.id)
        await asyncio.gather(*(latest.signal(Relay.add, each) for each in range(number // 2)))
        await until(lambda: is_continued(latest), True)
        await asyncio.gather(*(latest.signal(Relay.add, each) for each in range(number // 2, number)))
        assert sorted(await handle.result()) == list(range(number))
        first = stage.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        with pytest.raises(WorkflowContinuedAsNewError) as continued:
            await first.result(follow_runs=False)
        assert (await first.describe()).status == STATUS.CONTINUED_AS_NEW
        second = stage.client.get_workflow_handle(handle.id, run_id=continued.value.new_execution_run_id)
        assert (await second.describe()).status in (STATUS.CONTINUED_AS_NEW, STATUS.COMPLETED)
        assert await first.result() is not None


@workflow.defn
class FailsUntil:
    """Fails until its attempt is high enough; carries the last failure."""

    @workflow.run
    async def run(self, attempt: int) -> list[Any]:
        info = workflow.info()
        if info.attempt < attempt:
            raise ApplicationError(f"attempt {info.attempt}")
        failure = workflow.get_last_failure()
        return [info.attempt, str(failure.__cause__ or failure) if failure else None, info.continued_run_id]


async def test_workflow_retries(stage: Stage) -> None:
    retry = RetryPolicy(initial_interval=timedelta(milliseconds=20), backoff_coefficient=1.0, maximum_attempts=3)
    async with stage.worker(FailsUntil):
        handle = await stage.start(FailsUntil.run, 3, retry_policy=retry)
        attempt, failure, _ = await handle.result()
        assert attempt == 3
        assert "attempt 2" in failure
        assert (await handle.describe()).run_id != handle.first_execution_run_id
        with pytest.raises(WorkflowFailureError, match="failed") as failed:
            await stage.run(FailsUntil.run, 9, retry_policy=retry)
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.message == "attempt 3"


@workflow.defn
class Ticks:
    """Counts the runs of a cron by the result of the one before; fails every second time."""

    @workflow.run
    async def run(self) -> int:
        count: int = workflow.get_last_completion_result(int) or 0 if workflow.has_last_completion_result() else 0
        assert workflow.info().cron_schedule == "@every 1s"
        return count + 1


async def test_cron(stage: Stage) -> None:
    async with stage.worker(Ticks):
        handle = await stage.start(Ticks.run, cron_schedule="@every 1s")
        first = stage.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        with pytest.raises(WorkflowContinuedAsNewError):
            await first.result(follow_runs=False)
        assert (await first.describe()).status == STATUS.COMPLETED
        described = await stage.client.get_workflow_handle(handle.id).describe()
        assert described.run_id != handle.first_execution_run_id
        assert described.status == STATUS.RUNNING
        await stage.client.get_workflow_handle(handle.id).terminate("enough")


async def test_terminations_and_cancellations_from_outside(stage: Stage) -> None:
    async with stage.worker(Child):
        handle = await stage.start(Child.run)
        await handle.terminate("why", "not", reason="out of patience")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, TerminatedError)
        assert failed.value.cause.message == "out of patience"
        assert list(failed.value.cause.details) == ["why", "not"]

        handle = await stage.start(Child.run)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert (await handle.describe()).status == STATUS.CANCELED


@pytest.mark.parametrize("which", ["execution_timeout", "run_timeout"])
async def test_workflow_time_outs(stage: Stage, which: str) -> None:
    async with stage.worker(Child):
        handle = await stage.start(Child.run, **{which: timedelta(milliseconds=200)})
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, TimeoutError)
        assert failed.value.cause.type == TimeoutType.START_TO_CLOSE
        assert (await handle.describe()).status == STATUS.TIMED_OUT
        assert (await event_names(handle))[-1] == "WorkflowExecutionTimedOut"


@workflow.defn
class Generations:
    """A family tree of the given depth; every member tells its root."""

    @workflow.run
    async def run(self, depth: int) -> list[str]:
        info = workflow.info()
        me = f"{info.parent.workflow_id if info.parent else None} {info.root.workflow_id if info.root else None}"
        if depth == 0:
            return [me]
        below = await asyncio.gather(
            *(
                workflow.execute_child_workflow(Generations.run, depth - 1, id=f"{info.workflow_id}.{number}")
                for number in range(2)
            )
        )
        return [me, *(line for lines in below for line in lines)]


async def test_parents_and_roots(stage: Stage) -> None:
    async with stage.worker(Generations):
        handle = await stage.start(Generations.run, 2)
        lines = await handle.result()
    top = handle.id
    assert lines == [
        "None None",
        *(line for n in "01" for line in (f"{top} {top}", f"{top}.{n} {top}", f"{top}.{n} {top}")),
    ]


async def test_an_id_is_used_again_by_a_child(stage: Stage) -> None:
    child_id = f"child-{uuid.uuid4()}"
    policy = WorkflowIDReusePolicy.REJECT_DUPLICATE
    async with stage.worker(Parent, Child):
        for _ in range(2):
            await stage.run(Parent.run, child_id, ParentClosePolicy.TERMINATE, "end")
        with pytest.raises(WorkflowAlreadyStartedError):
            await stage.start(Child.run, id=child_id, id_reuse_policy=policy)
