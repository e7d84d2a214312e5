"""One random program: a seed decides what is done, step after step, as far as the server lets it."""

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from random import Random

import temporalio.api.workflowservice.v1 as api
from temporalio.api.workflow.v1 import WorkflowExecutionInfo

from tests.conformance.wire import Stopped, Wire
from tests.random_programs.client import describe
from tests.random_programs.deeds import choose
from tests.random_programs.story import Flow, Story

STEPS_MIN, STEPS_MAX = 12, 30
WORKFLOWS = "abcd"
LIST_LIMIT_S = 10.0


@dataclass(frozen=True)
class Program:
    """Each step draws from dice of its own, so that leaving a step out changes the others as little as possible."""

    seed: int
    steps: int
    without: frozenset[int] = frozenset()

    @classmethod
    def of(cls, seed: int, without: Collection[int] = ()) -> "Program":
        """The program of a seed, without some of its steps."""
        return cls(seed, Random(f"{seed}").randint(STEPS_MIN, STEPS_MAX), frozenset(without))

    def story(self, w: Wire) -> Story:
        """Its workflows, none of which is started yet."""
        return Story(w, {(wire := w.other(name)).name: Flow(wire) for name in WORKFLOWS})

    async def play(self, story: Story) -> None:
        """Play it, then look at everything. The story is not over before `end`."""
        for step in range(self.steps):
            if step not in self.without:
                await self._step(story, step)
        await look_at_all(story)

    async def _step(self, story: Story, step: int) -> None:
        dice = Random(f"{self.seed}/{step}")
        deed, flow = choose(story, dice)
        story.w.note(f"step {step}: {flow.name}: {deed.name}")
        await deed.do(story, flow, dice)
        await story.rest(flow)


async def look_at_all(story: Story) -> None:
    """Describe every workflow, and list all runs."""
    flows = [flow for flow in story.flows.values() if flow.exists]
    for flow in flows:
        await describe(story, flow)
    request = api.ListWorkflowExecutionsRequest(
        namespace=story.w.namespace, query=f"WorkflowId STARTS_WITH '{story.w.name}-'", page_size=100
    )
    try:
        async with asyncio.timeout(LIST_LIMIT_S):
            while True:
                reply = await story.w.unrecorded(story.w.rpc.ListWorkflowExecutions, request)
                if not (late := _why_late(flows, reply)):
                    break
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Stopped(f"the list is late: {late}") from None
    listed = sorted(reply.executions, key=lambda each: (each.execution.workflow_id, _run_number(flows, each)))
    del reply.executions[:]
    reply.executions.extend(listed)
    story.w.transcript.settle(story.w.transcript.enter("list of all runs"), reply)


def _run_number(flows: list[Flow], listed: WorkflowExecutionInfo) -> int:
    runs = [run_id for flow in flows for run_id in flow.runs]
    return runs.index(listed.execution.run_id) if listed.execution.run_id in runs else -1


def _why_late(flows: list[Flow], reply: api.ListWorkflowExecutionsResponse) -> str:
    """Lists follow the workflows with a delay."""
    listed = {each.execution.run_id: each for each in reply.executions}
    for flow in flows:
        assert flow.seen is not None
        current = flow.seen.workflow_execution_info
        for run_id in flow.runs:
            entry = listed.get(run_id)
            if entry is None:
                return f"{flow.name} {run_id} is missing"
            if run_id == flow.run_id and entry.status != current.status:
                return f"the status of {flow.name} {run_id}"
            if run_id != flow.run_id and entry.status == 1:
                return f"the end of {flow.name} {run_id}"
            if run_id == flow.run_id and (
                entry.memo != current.memo or entry.search_attributes != current.search_attributes
            ):
                return f"the memo or the search attributes of {flow.name} {run_id}"
    return ""


async def end(story: Story) -> None:
    """Terminate what is open, so that callers of updates are answered. What else follows from that is not told.

    More than once: an update-with-start whose workflow is closed before it could be updated starts another one.
    """
    story.is_over = True
    while True:
        for flow in story.flows.values():
            with contextlib.suppress(Stopped):
                await flow.w.unrecorded(flow.w.rpc.TerminateWorkflowExecution, flow.w.terminate_request())
        if not story.callers or not (await asyncio.wait(story.callers, timeout=0.2))[1]:
            break
    polls = [flow.sticky_poll for flow in story.flows.values() if flow.sticky_poll is not None]
    for sticky_poll in polls:
        sticky_poll.cancel()
    await asyncio.gather(*story.callers)
    await asyncio.gather(*polls, return_exceptions=True)
