"""A host as a process: it serves, it stops without loss, and says in one line why it cannot start."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckResponse
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.taskqueue.v1 import TaskQueue

from services.config import ConfigError, ServerConfig, for_start_dev, parse
from services.host import run

LIMIT_S = 20.0
STOP_LIMIT_S = 3.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Host:
    def __init__(self, process: asyncio.subprocess.Process, channel: grpc.aio.Channel) -> None:
        self.process, self.channel = process, channel

    async def call(self, request: Message) -> Any:
        name = type(request).__name__.removesuffix("Request")
        path = f"/temporal.api.workflowservice.v1.WorkflowService/{name}"
        send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        reply = await send(request.SerializeToString(), timeout=LIMIT_S, wait_for_ready=True)
        return getattr(api, f"{name}Response").FromString(reply)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_LIMIT_S)


async def launch(*arguments: str) -> asyncio.subprocess.Process:
    command = str(Path(sys.executable).with_name("perdure"))
    return await asyncio.create_subprocess_exec(
        command, "server", "start-dev", "--headless", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=-1
    )


async def serving(channel: grpc.aio.Channel) -> None:
    """Waits for a host that starts: until then it tells callers to come again."""
    watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
    async for status in watch(b"", timeout=LIMIT_S, wait_for_ready=True):
        if HealthCheckResponse.FromString(status).status == HealthCheckResponse.SERVING:
            return


@asynccontextmanager
async def hosted(*arguments: str) -> AsyncIterator[Host]:
    port = free_port()
    process = await launch("--port", str(port), *arguments)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await serving(channel)
            yield Host(process, channel)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def refusal(*arguments: str) -> str:
    """The one line that a host which cannot start leaves on stderr."""
    process = await launch(*arguments)
    _, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    return line


def start() -> api.StartWorkflowExecutionRequest:
    return api.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="w",
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name="queue"),
    )


async def test_what_was_started_is_there_after_a_stop(tmp_path: Path) -> None:
    arguments = ("--db-filename", str(tmp_path / "perdure.db"), "--namespace", "tea")
    async with hosted(*arguments) as host:
        started = await host.call(start())
        assert await host.stop() == 0
    async with hosted(*arguments) as host:
        for name in ("default", "tea", "temporal-system"):
            await host.call(api.DescribeNamespaceRequest(namespace=name))
        execution = WorkflowExecution(workflow_id="w")
        described = await host.call(api.DescribeWorkflowExecutionRequest(namespace="default", execution=execution))
        assert described.workflow_execution_info.execution.run_id == started.run_id
        assert await host.stop() == 0


async def test_long_polls_end_politely() -> None:
    async with hosted() as host:
        await host.call(start())
        queue = TaskQueue(name="another")
        history = api.GetWorkflowExecutionHistoryRequest(
            namespace="default",
            execution=WorkflowExecution(workflow_id="w"),
            wait_new_event=True,
            history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        polls = asyncio.gather(
            host.call(api.PollWorkflowTaskQueueRequest(namespace="default", task_queue=queue)),
            host.call(api.PollActivityTaskQueueRequest(namespace="default", task_queue=queue)),
            host.call(history),
        )
        # They have arrived when the queue knows its poller; all three travel on one connection, in order.
        describe = api.DescribeTaskQueueRequest(namespace="default", task_queue=queue)
        async with asyncio.timeout(LIMIT_S):
            while not (await host.call(describe)).pollers:
                pass
        began = time.monotonic()
        assert await host.stop() == 0
        assert time.monotonic() - began < STOP_LIMIT_S
        workflow, activity, page = await polls
        assert workflow.task_token == activity.task_token == b""
        assert len(page.history.events) == 0
        assert page.next_page_token


async def test_a_taken_port_is_told_and_no_file_is_made(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        line = await refusal("--port", str(port), "--db-filename", str(tmp_path / "perdure.db"))
    assert line == f"perdure: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert os.listdir(tmp_path) == []


async def test_a_data_file_in_use_is_told(tmp_path: Path) -> None:
    file = str(tmp_path / "perdure.db")
    async with hosted("--db-filename", file) as host:
        await host.call(api.GetSystemInfoRequest())
        line = await refusal("--port", str(free_port()), "--db-filename", file)
        assert line == f"perdure: {file} is in use by another process"


async def test_a_foreign_file_is_left_untouched(tmp_path: Path) -> None:
    file = tmp_path / "tea.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE tea (leaf TEXT)")
    connection.close()
    before = file.read_bytes()
    line = await refusal("--port", str(free_port()), "--db-filename", str(file))
    assert line.startswith(f"perdure: {file} is not a Perdure database")
    assert file.read_bytes() == before


SQLITE = """
persistence:
  defaultStore: main
  numHistoryShards: 4
  datastores:
    main: {sql: {pluginName: sqlite, databaseName: never-made.db}}
"""
CLUSTER = """
persistence:
  defaultStore: main
  numHistoryShards: 4
  datastores:
    main: {cassandra: {hosts: 127.0.0.1, keyspace: temporal}}
"""


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            ServerConfig(persistence=for_start_dev().persistence, run_services=("history",)),
            "global.membership.zookeeper: found nothing, for history alone, expected a section",
        ),
        (
            parse(SQLITE + "global: {tls: {frontend: {server: {certFile: c, keyFile: k}}}}", {}),
            "global.tls.frontend.server.certFile: found c: No such",
        ),
        (parse(SQLITE + "global: {authorization: {authorizer: default}}", {}), "global.authorization: found"),
    ],
)
def test_what_is_not_built_is_told_before_anything_is_done(config: ServerConfig, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run(config)
    assert str(refused.value).startswith(text)
