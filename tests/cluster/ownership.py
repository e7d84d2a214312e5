"""Who owns which shards, by the ring and by the database, and whether shards are served."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.request import urlopen

import asyncpg
import grpc.aio
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.membership.ring import Member, MemberState, Ring
from services.rpc import shard_id_of
from tests.cluster.calls import Caller
from tests.parts.cluster import Cluster, Host
from tests.telemetry.families import Family, read

SHARDS: Final = 512
PROBE_S: Final = 1.0  # deadline of one attempt
PROBE_PAUSE_S: Final = 0.05


def owners(hosts: Iterable[Host]) -> dict[int, str]:
    """The owner's address of each shard when these history hosts are active."""
    ring = Ring(Member("history", host.address, MemberState.ACTIVE) for host in hosts)
    found = {shard_id: ring.owner(str(shard_id)) for shard_id in range(1, SHARDS + 1)}
    return {shard_id: member.address for shard_id, member in found.items() if member is not None}


async def fences(cluster: Cluster) -> dict[int, int]:
    """The range id of each shard, as the database has it."""
    connection = await asyncpg.connect(f"postgresql://postgres@{cluster.store.address}/perdure")
    try:
        return {row[0]: row[1] for row in await connection.fetch("SELECT shard_id, range_id FROM shards")}
    finally:
        await connection.close()


def metrics(host: Host) -> Mapping[str, Family]:
    with urlopen(f"http://{host.ip}:{host.metrics_port}/metrics") as response:
        return read(response.read().decode())


class Probes:
    """A workflow in each of some shards, signalled to see whether its shard takes writes."""

    def __init__(self, caller: Caller, name: str, shard_ids: Iterable[int]) -> None:
        self._caller, self._name, self._shard_ids = caller, name, set(shard_ids)
        self.workflow_ids: dict[int, str] = {}
        self.namespace_id = ""

    async def start(self) -> None:
        described = await self._caller.attempt(
            api.DescribeNamespaceRequest(namespace="default"), api.DescribeNamespaceResponse
        )
        self.namespace_id = described.namespace_info.id
        missing, numbers = set(self._shard_ids), itertools.count()
        while missing:
            workflow_id = f"{self._name}-{next(numbers)}"
            shard_id = shard_id_of(self.namespace_id, workflow_id, SHARDS)
            if shard_id in missing:
                missing.discard(shard_id)
                self.workflow_ids[shard_id] = workflow_id
        for workflow_id in self.workflow_ids.values():
            request = api.StartWorkflowExecutionRequest(
                namespace="default",
                workflow_id=workflow_id,
                workflow_type=WorkflowType(name="Probe"),
                task_queue=TaskQueue(name="nobody polls here"),
                request_id="probe",
            )
            await self._caller.attempt(request, api.StartWorkflowExecutionResponse)

    async def served(self) -> float:
        """Returns when every shard has taken a write that was sent after this was called: the time of the last."""
        return max(await asyncio.gather(*(self._served(workflow_id) for workflow_id in self.workflow_ids.values())))

    async def _served(self, workflow_id: str) -> float:
        request = api.SignalWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            signal_name="probe",
        )
        while True:
            try:
                await self._caller.attempt(request, api.SignalWorkflowExecutionResponse, PROBE_S)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(PROBE_PAUSE_S)
            else:
                return time.monotonic()
