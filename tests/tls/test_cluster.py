"""Hosts of one cluster that trust one another by certificates, while those change."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.client import Client

from tests.server.waiting import until
from tests.tls.authority import Authority, put
from tests.tls.cluster import HISTORY, Host, cluster
from tests.tls.serving import is_serving


@pytest.fixture
def hosts(tmp_path: Path, authority: Authority) -> Iterator[tuple[Host, Host]]:
    with cluster(tmp_path, authority) as running:
        yield running


async def test_hosts_change_their_authority(hosts: tuple[Host, Host], tmp_path: Path, authority: Authority) -> None:
    """No call fails meanwhile; afterwards strangers are refused, and a host that comes back is known."""
    frontend, rest = hosts
    successor = Authority()
    client = await Client.connect(frontend.address)

    async def changes(at_least: int) -> None:
        async def taken_up() -> bool:
            return min(frontend.changes, rest.changes) >= at_least

        await until(taken_up, True)

    async with asyncio.timeout(60), asyncio.TaskGroup() as load:
        calls = load.create_task(_keep_starting(client))
        put(tmp_path / "ca.pem", authority.cert + successor.cert)
        await changes(2)  # as a server, and as a client
        successor.issue("host").write(tmp_path, "host")
        await changes(4)
        put(tmp_path / "ca.pem", successor.cert)
        await changes(6)
        await _start(client)
        assert not calls.done()
        calls.cancel()
    stranger = authority.issue()
    for credentials in (None, grpc.ssl_channel_credentials(successor.cert, stranger.key, stranger.cert)):
        assert not await asyncio.to_thread(is_serving, rest.address, credentials, HISTORY)
    await asyncio.to_thread(rest.stop)
    await asyncio.to_thread(rest.start)
    await _start(client)


async def _keep_starting(client: Client) -> None:
    while True:
        await _start(client)


async def _start(client: Client) -> None:
    """Without the SDK's own repetition, which would hide a failure."""
    request = StartWorkflowExecutionRequest(
        namespace="default", workflow_id=str(uuid.uuid4()), request_id=str(uuid.uuid4())
    )
    request.workflow_type.name, request.task_queue.name = "greet", "nobody"
    await client.workflow_service.start_workflow_execution(request)
