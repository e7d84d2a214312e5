"""Clients as SDKs are: they repeat what may help, with the same request id, against any frontend."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, TypeVar
from uuid import UUID

import grpc
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdReusePolicy,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice import v1 as api

from services.frontend import WORKFLOW_SERVICE
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Ledger
from tests.simulation.network import SimulatedChannel
from tests.simulation.program import TYPE, Step, payloads, seconds, value_of

R = TypeVar("R", bound=Message)

FRONTENDS: Final = ("frontend-1:7233", "frontend-2:7233")
CALL_S: Final = 8.0
PAUSE_S, PAUSE_S_MAX = 0.1, 2.0
Code = grpc.StatusCode
REPEATED: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
NEVER: Final = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.UNIMPLEMENTED, Code.CANCELLED})
REJECT: Final = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE


class Client:
    """One connection to the cluster's frontends."""

    def __init__(self, cluster: Cluster) -> None:
        self.world = cluster.world
        self._channels = [SimulatedChannel(cluster.machine.network, address) for address in FRONTENDS]

    async def attempt(self, request: Message, reply: type[R], timeout_s: float = CALL_S) -> R:
        """One call to one frontend. Raises AioRpcError."""
        channel = self.world.random.choice(self._channels)
        method = type(request).__name__.removesuffix("Request")
        unary = channel.unary_unary(f"/{WORKFLOW_SERVICE}/{method}")
        try:
            return reply.FromString(await unary(request.SerializeToString(), timeout=timeout_s))
        except grpc.aio.AioRpcError as error:
            if error.code() in NEVER:
                self.world.violated(f"a client was told {error.code().name} by {method}: {error.details()}")
            raise

    async def call(self, request: Message, reply: type[R], timeout_s: float = CALL_S) -> R:
        """The same until there is an answer. Raises what a repetition does not help against."""
        pause_s = PAUSE_S
        while True:
            try:
                return await self.attempt(request, reply, timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() not in REPEATED:
                    raise
            await asyncio.sleep(pause_s * self.world.random.uniform(0.5, 1))
            pause_s = min(pause_s * 2, PAUSE_S_MAX)


class Customer:
    """Starts one workflow, does things to it, and waits for its end."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, workflow_id: str, program: Step, signals: int, others: int
    ) -> None:
        self._world, self._client, self._ledger = cluster.world, Client(cluster), ledger
        self._random = cluster.world.random
        self._workflow_id, self._program = workflow_id, program
        self._signals, self._others = signals, others

    async def live(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 20))
        signaled = await self._start()
        doings = [self._signal() for _ in range(self._signals - signaled)]
        doings += [self._random.choice((self._update, self._query))() for _ in range(self._others)]
        if self._random.random() < 0.1:
            doings.append(self._random.choice((self._cancel, self._terminate))())
        async with asyncio.TaskGroup() as tasks:
            for doing in doings:
                tasks.create_task(self._sometime(doing))
            tasks.create_task(self._result())

    async def _sometime(self, doing: Any) -> None:
        await asyncio.sleep(self._random.expovariate(1 / 4))
        await doing

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    @property
    def _execution(self) -> WorkflowExecution:
        return WorkflowExecution(workflow_id=self._workflow_id)

    async def _start(self) -> int:
        """Starts the workflow; how many signals were sent with it."""
        fields: dict[str, Any] = {
            "namespace": "default",
            "workflow_id": self._workflow_id,
            "workflow_type": TYPE,
            "task_queue": TaskQueue(name=self._program["queue"]),
            "input": payloads(self._program),
            "request_id": self._id(),
            "workflow_id_reuse_policy": REJECT,
            "workflow_task_timeout": seconds(3),
            "identity": "client",
        }
        with_signal = self._signals > 0 and self._random.random() < 0.3
        kinds: Any = (api.StartWorkflowExecutionRequest, api.StartWorkflowExecutionResponse)
        if with_signal:
            kinds = (api.SignalWithStartWorkflowExecutionRequest, api.SignalWithStartWorkflowExecutionResponse)
            fields |= {"signal_name": "signal", "signal_input": payloads(fields["request_id"])}
            self._ledger.sent_signals.add(fields["request_id"])
        request, reply = kinds
        try:
            started = await self._client.call(request(**fields), reply)
        except grpc.aio.AioRpcError as error:
            followed = with_signal or "continue" in str(self._program)  # the run that an earlier attempt made is over
            if error.code() is not Code.ALREADY_EXISTS or not followed:
                self._world.violated(f"{self._workflow_id} could not be started: {error.code()} {error.details()}")
            return int(with_signal)
        self._ledger.starts.setdefault(self._workflow_id, set()).add(started.run_id)
        if with_signal:
            self._ledger.signals[fields["request_id"]] = self._workflow_id
        return int(with_signal)

    async def _signal(self) -> None:
        request_id = self._id()
        self._ledger.sent_signals.add(request_id)
        request = api.SignalWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=self._execution,
            signal_name="signal",
            input=payloads(request_id),
            request_id=request_id,
            identity="client",
        )
        if await self._done(request, api.SignalWorkflowExecutionResponse, (Code.NOT_FOUND,)):
            self._ledger.signals[request_id] = self._workflow_id

    async def _done(self, request: Message, reply: type[R], excused: Iterable[grpc.StatusCode]) -> R | None:
        """None when it came too late."""
        try:
            return await self._client.call(request, reply)
        except grpc.aio.AioRpcError as error:
            if error.code() not in excused:
                self._world.violated(f"{type(request).__name__}: {error.code().name} {error.details()}")
            return None

    async def _update(self) -> None:
        update_id = self._id()
        name = self._random.choice(("now", "now", "later", "reject"))
        stages = UpdateWorkflowExecutionLifecycleStage
        request = api.UpdateWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=self._execution,
            wait_policy=WaitPolicy(lifecycle_stage=stages.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED),
            request=Request(meta=Meta(update_id=update_id, identity="client"), input=Input(name=name)),
        )
        while True:
            excused = (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
            reply = await self._done(request, api.UpdateWorkflowExecutionResponse, excused)
            if reply is None:  # it is over, or its workers fail again and again
                return
            if reply.HasField("outcome"):
                break
        if reply.outcome.HasField("success"):
            self._ledger.updates[update_id] = (self._workflow_id, reply.update_ref.workflow_execution.run_id)

    async def _query(self) -> None:
        """A query must see every signal that was acknowledged before it was asked."""
        request = api.QueryWorkflowRequest(
            namespace="default", execution=self._execution, query=WorkflowQuery(query_type="signals")
        )
        before = {key for key, workflow_id in self._ledger.signals.items() if workflow_id == self._workflow_id}
        excused = (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
        reply = await self._done(request, api.QueryWorkflowResponse, excused)
        if reply is not None and "continue" not in str(self._program):
            missing = before - set(value_of(reply.query_result))
            if missing:
                self._world.violated(f"a query of {self._workflow_id} has not seen signals {sorted(missing)}")

    async def _cancel(self) -> None:
        request = api.RequestCancelWorkflowExecutionRequest(
            namespace="default", workflow_execution=self._execution, request_id=self._id(), identity="client"
        )
        if await self._done(request, api.RequestCancelWorkflowExecutionResponse, (Code.NOT_FOUND,)) is not None:
            self._ledger.cancels.add(self._workflow_id)

    async def _terminate(self) -> None:
        request = api.TerminateWorkflowExecutionRequest(
            namespace="default", workflow_execution=self._execution, reason="enough", identity="client"
        )
        if await self._done(request, api.TerminateWorkflowExecutionResponse, (Code.NOT_FOUND,)) is not None:
            self._ledger.terminations.add(self._workflow_id)

    async def _result(self) -> None:
        """The end of the last run of the chain, as SDKs wait for it."""
        run_id = ""
        while True:
            close = await self._close_event(run_id)
            attributes = getattr(close, close.WhichOneof("attributes") or "")
            run_id = attributes.new_execution_run_id if hasattr(attributes, "new_execution_run_id") else ""
            if not run_id:
                name = EventType.Name(close.event_type).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_")
                self._ledger.results[self._workflow_id] = name
                self._world.trace.note("client", f"{self._workflow_id} has ended: {name}")
                return

    async def _close_event(self, run_id: str) -> HistoryEvent:
        token = b""
        while True:
            request = api.GetWorkflowExecutionHistoryRequest(
                namespace="default",
                execution=WorkflowExecution(workflow_id=self._workflow_id, run_id=run_id),
                wait_new_event=True,
                history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
                next_page_token=token,
            )
            reply = await self._client.call(request, api.GetWorkflowExecutionHistoryResponse, 20.0)
            if reply.history.events:
                return reply.history.events[-1]
            token = reply.next_page_token
