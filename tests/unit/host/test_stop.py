"""What callers see of a host that stops under their hands."""

import asyncio

import grpc
import temporalio.api.workflowservice.v1 as api

from tests.unit.host.test_host import Host, hosted

CALLERS = 32
STOPS = 2  # one late call in a few stops would be told that it was cancelled


async def codes(host: Host) -> set[grpc.StatusCode]:
    """What callers who never pause are told, until nobody answers."""
    path = "/temporal.api.workflowservice.v1.WorkflowService/DescribeNamespace"
    request = api.DescribeNamespaceRequest(namespace="default").SerializeToString()
    send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = host.channel.unary_unary(path)
    await send(request, timeout=10, wait_for_ready=True)
    found: set[grpc.StatusCode] = set()

    async def call() -> None:
        while host.process.returncode is None:
            try:
                await send(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                found.add(error.code())

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(call())
        await asyncio.sleep(0.1)  # until all of them are at it
        assert await host.stop() == 0
    return found


async def test_whoever_calls_while_a_host_stops_is_told_to_come_again() -> None:
    for _ in range(STOPS):
        async with hosted() as host:
            assert await codes(host) == {grpc.StatusCode.UNAVAILABLE}
