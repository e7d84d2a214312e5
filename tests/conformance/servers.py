"""The servers that are compared, as processes of their own on free ports, gone when the run ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import temporalio.api.workflowservice.v1 as api
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.parts.deployed import DEPLOYMENTS, deployed

SERVERS = ("official", "perdure", *DEPLOYMENTS)
READY_LIMIT_S = 20.0
MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024
OPTIONS = [
    *((f"grpc.max_{way}_message_length", MESSAGE_LIMIT_BYTES) for way in ("send", "receive")),
    ("grpc.lb_policy_name", "round_robin"),  # one call to one frontend, the next to another
]

SEARCH_ATTRIBUTES = {"Shade": "Keyword", "Weight": "Int", "Story": "Text"}
# Registering namespaces is limited to one a second; scenarios run side by side.
DYNAMIC_CONFIG = {
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs": 1000,
    "frontend.rps.namespaceReplicationInducingAPIs": 1000,
    "callback.allowedAddresses": [
        {"Pattern": "127.0.0.1:*", "AllowInsecure": True},
        {"Pattern": "secure.example*"},
    ],
    "frontend.WorkflowPauseEnabled": True,  # off unless set
    # The official server deletes a closed run once its queues have noted that the close was seen to.
    "history.transferProcessorUpdateAckInterval": "200ms",
    "history.visibilityProcessorUpdateAckInterval": "200ms",
    # Lower than anyone would set them, so that a scenario can come so far.
    "history.workflowTaskHeartbeatTimeout": "2s",
    "limit.historyCount.suggestContinueAsNew": 60,
    "history.maxTotalUpdates": 15,
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": 2,
}
# Limits of a run that a scenario reaches within a few calls.
TIGHT_CONFIG = {
    "callback.maxPerExecution": 2,
    "history.maximumBufferedEventsBatch": 5,
    "history.maximumBufferedEventsSizeInBytes": 3000,
    "history.maximumRequestIDsPerExecution": 3,
    "history.maximumSignalsPerExecution": 8,
    "history.maxInFlightUpdatePayloads": 1500,
    "limit.blobSize.error": 1000,
    "limit.blobSize.warn": 500,
    "limit.historyCount.error": 24,
    "limit.historySize.error": 8000,
    "limit.memoSize.error": 600,
    "limit.memoSize.warn": 300,
    "limit.mutableStateSize.error": 6000,
    "limit.numPendingActivities.error": 2,
    "limit.numPendingCancelRequests.error": 2,
    "limit.numPendingChildExecutions.error": 2,
    "limit.numPendingSignals.error": 2,
    "system.transactionSizeLimit": 5500,
}


@asynccontextmanager
async def serve(name: str, *, tight: bool = False, changed: Mapping[str, Any] = {}) -> AsyncIterator[grpc.aio.Channel]:
    """Run a server of SERVERS, and yield a channel to all its frontends once it starts workflows."""
    config = {**DYNAMIC_CONFIG, **(TIGHT_CONFIG if tight else {}), **changed}
    with TemporaryDirectory(prefix="conformance-") as directory:
        server = deployed(
            Path(directory), name, search_attributes=SEARCH_ATTRIBUTES, dynamic_config=config, in_memory=True
        )
        await asyncio.to_thread(server.__enter__)
        try:
            target = "ipv4:" + ",".join(server.addresses)
            async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
                async with asyncio.timeout(READY_LIMIT_S):
                    await _wait_for_ready(channel)
                yield channel
        finally:
            await asyncio.to_thread(server.kill)


async def _wait_for_ready(channel: grpc.aio.Channel) -> None:
    """Start a first workflow: a server that serves may still be acquiring shards and reading namespaces."""
    start = channel.unary_unary(
        "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution",
        request_serializer=api.StartWorkflowExecutionRequest.SerializeToString,
        response_deserializer=api.StartWorkflowExecutionResponse.FromString,
    )
    request = api.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="warm-up",
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name="warm-up"),
        request_id="warm-up",
    )
    while True:
        try:
            await start(request, wait_for_ready=True)
            return
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.05)
