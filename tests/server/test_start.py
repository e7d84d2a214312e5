"""The real executable from launch to end: how soon it serves, how it stops, and what it says when it cannot start."""

import asyncio
import hashlib
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue

from tests.processes import BIN, QUICK_RECONNECT, Server, free_port

LAUNCH_S_MAX = 1.0
STOP_S_MAX = 3.0
CALL_S_MAX = 20.0
LAUNCHES = 3  # machines are noisy: the best of them counts
CANNOT_START = 1
REFUSALS_WHILE_STOPPING = {grpc.StatusCode.UNAVAILABLE}  # SDKs repeat such calls; they give up on cancelled ones
PERDURE = BIN / "perdure"


class Launched(Server):
    """A Perdure of our own, whatever server the other tests are told to run against."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, executable=PERDURE)

    def terminate(self) -> tuple[int, float]:
        """SIGTERM. Returns the exit code and how long it took; raises TimeoutExpired when it takes too long."""
        assert self._running is not None
        process, self._running = self._running, None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(CALL_S_MAX), time.monotonic() - began
        finally:
            process.kill()


class Client:
    """Calls by request type, on one connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def __call__(self, request: Message) -> Any:
        name = type(request).__name__.removesuffix("Request")
        reply: type[Message] = getattr(api, f"{name}Response")
        send = self._channel.unary_unary(
            f"/temporal.api.workflowservice.v1.WorkflowService/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        return await send(request, timeout=CALL_S_MAX)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Client]:
    async with grpc.aio.insecure_channel(server.address, QUICK_RECONNECT) as channel:
        yield Client(channel)


def start(workflow_id: str, queue: str = "queue") -> api.StartWorkflowExecutionRequest:
    return api.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=workflow_id,
        workflow_type=WorkflowType(name="Workflow"),
        task_queue=TaskQueue(name=queue),
    )


def wait_for_event(workflow_id: str, page_token: bytes = b"") -> api.GetWorkflowExecutionHistoryRequest:
    return api.GetWorkflowExecutionHistoryRequest(
        namespace="default",
        execution=WorkflowExecution(workflow_id=workflow_id),
        wait_new_event=True,
        next_page_token=page_token,
    )


def poll(queue: str) -> api.PollWorkflowTaskQueueRequest:
    return api.PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=queue), identity="test")


def test_it_serves_within_a_second_on_a_new_file_and_on_an_old_one(tmp_path: Path) -> None:
    def launch(directory: Path) -> float:
        directory.mkdir(exist_ok=True)
        began = time.monotonic()
        with Launched(directory) as server:
            took = time.monotonic() - began
            assert server.terminate()[0] == 0
            return took

    new = [launch(tmp_path / str(number)) for number in range(LAUNCHES)]
    old = [launch(tmp_path / "0") for _ in range(LAUNCHES)]
    assert min(new) < LAUNCH_S_MAX, f"{new} s"
    assert min(old) < LAUNCH_S_MAX, f"{old} s"


async def test_sigterm_ends_long_polls_politely(tmp_path: Path) -> None:
    with Launched(tmp_path) as server:
        async with connected(server) as call:
            await call(start("waits"))
            page = await call(wait_for_event("waits"))
            polls = asyncio.gather(
                call(poll("idle")),
                call(api.PollActivityTaskQueueRequest(namespace="default", task_queue=TaskQueue(name="idle"))),
                call(wait_for_event("waits", page.next_page_token)),
            )
            await wait_for_pollers(call, "idle")
            exit_code, took = await asyncio.to_thread(server.terminate)
            workflow_task, activity_task, history = await polls
        assert exit_code == 0
        assert took < STOP_S_MAX, f"{took} s"
        assert workflow_task == api.PollWorkflowTaskQueueResponse()
        assert activity_task == api.PollActivityTaskQueueResponse()
        assert not history.history.events
        assert history.next_page_token == page.next_page_token


async def wait_for_pollers(call: Client, queue: str) -> None:
    """Until the queue knows a poller; calls of one connection arrive in order, so then the others have arrived too."""
    describe = api.DescribeTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=queue))
    async with asyncio.timeout(CALL_S_MAX):
        while not (await call(describe)).pollers:
            pass


async def test_sigterm_amid_starts_and_a_task_in_hand_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with Launched(tmp_path) as server:
        acknowledged: dict[str, str] = {}
        refusals: set[grpc.StatusCode] = set()
        enough = asyncio.Event()

        async def keep_starting(call: Client, customer: int) -> None:
            """Until the server takes no more."""
            for number in range(1_000_000):
                workflow_id = f"{customer}-{number}"
                try:
                    acknowledged[workflow_id] = (await call(start(workflow_id))).run_id
                except grpc.aio.AioRpcError as error:
                    refusals.add(error.code())
                    return
                if len(acknowledged) >= 50:
                    enough.set()

        async with connected(server) as call:
            await call(start("in hand", "hands"))
            task = await call(poll("hands"))
            starting = asyncio.gather(*(keep_starting(call, customer) for customer in range(8)))
            await asyncio.wait_for(enough.wait(), CALL_S_MAX)
            exit_code, took = await asyncio.to_thread(server.terminate)
            await starting
        assert exit_code == 0
        assert took < STOP_S_MAX, f"{took} s"
        assert refusals <= REFUSALS_WHILE_STOPPING

        server.start()
        async with connected(server) as call:
            for workflow_id, run_id in acknowledged.items():
                execution = WorkflowExecution(workflow_id=workflow_id)
                found = await call(api.DescribeWorkflowExecutionRequest(namespace="default", execution=execution))
                assert found.workflow_execution_info.execution.run_id == run_id
            await call(api.RespondWorkflowTaskCompletedRequest(task_token=task.task_token, namespace="default"))
            history = await call(
                api.GetWorkflowExecutionHistoryRequest(namespace="default", execution=task.workflow_execution)
            )
            assert [event.event_id for event in history.history.events] == [1, 2, 3, 4]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(file: Path, port: int) -> str:
    """The one line that a server which cannot start leaves on stderr."""
    command = [str(PERDURE), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    result = subprocess.run(
        [*command, "--db-filename", str(file)], capture_output=True, text=True, timeout=CALL_S_MAX, check=False
    )
    assert result.returncode == CANNOT_START, result.stderr
    (line,) = result.stderr.splitlines()
    return line


def a_note(path: Path) -> str:
    path.write_text("dear diary")
    return "is not a Perdure database; it was left untouched"


def a_database_of_another_program(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE tea (leaf TEXT)")
    connection.close()
    return "is not a Perdure database; it was left untouched"


def a_file_of_another_version(path: Path) -> str:
    with Launched(path.parent) as server:
        assert server.terminate()[0] == 0
        server.database.replace(path)
    connection = sqlite3.connect(path)
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    connection.execute(f"PRAGMA user_version={version + 1}")
    connection.close()
    return f"has schema version {version + 1}, this server knows version {version}; it was left untouched"


@pytest.mark.parametrize("make", [a_note, a_database_of_another_program, a_file_of_another_version])
def test_a_file_that_is_not_its_own_is_refused_untouched(tmp_path: Path, make: Callable[[Path], str]) -> None:
    file = tmp_path / "data.db"
    reason = make(file)
    before = digest(file)
    assert refusal(file, free_port()) == f"perdure: {file} {reason}"
    assert digest(file) == before
    assert sorted(path.name for path in tmp_path.glob("data.db*")) == ["data.db", "data.db.lock"]


def test_a_data_file_that_another_process_holds_is_refused_untouched(tmp_path: Path) -> None:
    with Launched(tmp_path) as server:
        before = digest(server.database)
        assert refusal(server.database, free_port()) == f"perdure: {server.database} is in use by another process"
        assert digest(server.database) == before
        server.check_alive()
        assert server.terminate()[0] == 0


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def test_a_taken_port_is_told_before_any_file_is_touched(tmp_path: Path) -> None:
    with Launched(tmp_path) as server:
        assert server.terminate()[0] == 0
    before = digest(server.database)
    with taken_port() as port:
        reason = f"perdure: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert refusal(server.database, port) == reason
        assert refusal(tmp_path / "new.db", port) == reason
    assert digest(server.database) == before
    assert not list(tmp_path.glob("new.db*"))
