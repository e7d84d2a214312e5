"""A history host that was stopped for longer than its session believes for a moment that it owns what others own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice import v1 as api

from services.errors import ServiceError
from services.rpc import HISTORY, HISTORY_SERVICE, Call, HistoryClient, stand_in
from services.rpc.network import Network
from services.runtime import SystemClock
from tests.cluster.calls import Caller
from tests.cluster.ownership import Probes, owners
from tests.parts.cluster import Cluster, Host

ASKED = 40  # workflows, each in a shard of its own
PATIENCE_S = 40.0
LATE = "sent while the host was stopped"


class Direct:
    """Asks one history host, whoever owns what is asked about. None is a refusal."""

    def __init__(self, host: Host, namespace_id: str) -> None:
        self._clock = SystemClock()
        self._network = Network(self._clock)
        self._namespace_id = namespace_id
        send = self._network.to(host.address, HISTORY_SERVICE, "test")
        self._history: HistoryClient = stand_in(HISTORY, send)

    async def signal(self, workflow_id: str) -> str | None:
        request = api.SignalWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=workflow_id), signal_name=LATE
        )
        return workflow_id if await self._answer(self._history.signal_workflow_execution, request) else None

    async def length(self, workflow_id: str) -> tuple[str, int] | None:
        request = api.DescribeWorkflowExecutionRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=workflow_id)
        )
        reply = await self._answer(self._history.describe_workflow_execution, request)
        return (workflow_id, reply.workflow_execution_info.history_length) if reply is not None else None

    async def _answer(self, method: Any, request: Any) -> Any:
        deadline = self._clock.monotonic() + PATIENCE_S
        try:
            return await method(Call(namespace="default", namespace_id=self._namespace_id, deadline=deadline), request)
        except ServiceError:
            return None

    async def close(self) -> None:
        await self._network.close()


async def lengths(caller: Caller, workflow_ids: Sequence[str]) -> dict[str, int]:
    found = {}
    for workflow_id in workflow_ids:
        request = api.DescribeWorkflowExecutionRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=workflow_id)
        )
        reply = await caller.attempt(request, api.DescribeWorkflowExecutionResponse)
        found[workflow_id] = reply.workflow_execution_info.history_length
    return found


async def late_signals(caller: Caller, workflow_id: str) -> int:
    request = api.GetWorkflowExecutionHistoryRequest(
        namespace="default", execution=WorkflowExecution(workflow_id=workflow_id)
    )
    reply = await caller.attempt(request, api.GetWorkflowExecutionHistoryResponse)
    signaled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    events = [event for event in reply.history.events if event.event_type == signaled]
    return sum(event.workflow_execution_signaled_event_attributes.signal_name == LATE for event in events)


async def test_a_stopped_host_says_nothing_untrue_when_it_goes_on(cluster: Cluster) -> None:
    """It is asked past all routing, so that it finds the questions when it wakes up."""
    frozen, hosts = cluster.of("history")[0], cluster.of("history")
    lost = [shard_id for shard_id, owner in owners(hosts).items() if owner == frozen.address]
    async with Caller([host.address for host in cluster.of("frontend")], patient=True) as caller:
        probes = Probes(caller, f"frozen-{time.time_ns()}", lost[:ASKED])
        await probes.start()
        workflow_ids = list(probes.workflow_ids.values())
        direct = Direct(frozen, probes.namespace_id)
        try:
            known = await asyncio.gather(*(direct.length(workflow_id) for workflow_id in workflow_ids))
            assert None not in known, "it owns them now, and has them in memory"
            os.kill(frozen.pid, signal.SIGSTOP)
            signals = [asyncio.create_task(direct.signal(workflow_id)) for workflow_id in workflow_ids]
            await probes.served()  # by their new owners
            written = await lengths(caller, workflow_ids)
            looks = [asyncio.create_task(direct.length(workflow_id)) for workflow_id in workflow_ids]
            await asyncio.sleep(0.2)  # until the questions lie before it
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        taken = [workflow_id for workflow_id in await asyncio.gather(*signals) if workflow_id is not None]
        seen = [look for look in await asyncio.gather(*looks) if look is not None]
        await direct.close()
        await probes.served()
        counts = {workflow_id: await late_signals(caller, workflow_id) for workflow_id in workflow_ids}
    print(f"of {len(workflow_ids)} each: {len(taken)} late signals taken, {len(seen)} late questions answered")
    stale = [workflow_id for workflow_id, length in seen if length < written[workflow_id]]
    assert not stale, f"{len(stale)} answers were from before the host was stopped"
    assert [workflow_id for workflow_id in taken if not counts[workflow_id]] == [], "acknowledged by no owner, and lost"
    assert max(counts.values()) <= 1
    assert len(taken) + len(seen) < 2 * len(workflow_ids), "it never noticed that it was away"
