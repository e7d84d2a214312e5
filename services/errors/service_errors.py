"""The error tree. Each class knows its gRPC status and builds its detail message (temporal.api.errordetails.v1).

No grpc import: the core raises nothing of the wire, and the wire (services.rpc) turns `status_proto()` into trailers.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from temporalio.api.enums.v1 import NamespaceState, ResourceExhaustedCause, ResourceExhaustedScope
from temporalio.api.errordetails.v1 import (
    MultiOperationExecutionFailure,
    NamespaceAlreadyExistsFailure,
    NamespaceInvalidStateFailure,
    NamespaceNotFoundFailure,
    NotFoundFailure,
    PermissionDeniedFailure,
    QueryFailedFailure,
    ResourceExhaustedFailure,
    WorkflowExecutionAlreadyStartedFailure,
    WorkflowNotReadyFailure,
)
from temporalio.api.failure.v1 import Failure, MultiOperationExecutionAborted

from services.protos.call_pb2 import OwnershipLostDetail, StickyWorkerUnavailableDetail


class Code(IntEnum):
    """gRPC status codes by number."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15


class ServiceError(Exception):
    """An answer to a caller that is not the reply asked for."""

    code: ClassVar[Code] = Code.UNKNOWN
    received: AnyProto | None = None  # the detail, of an error that came from another service

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def detail(self) -> Message | None:
        """The message in `details[0]` of the status, by which SDKs tell errors of one code apart."""
        return None

    def internal_detail(self) -> Message | None:
        """The same between services, where there are errors that clients need not tell apart."""
        return None

    def status(self, *, internal: bool = False) -> Status:
        """The error as it travels. One that came from another service goes on as it came."""
        status = Status(code=int(self.code), message=self.message)
        detail = (self.internal_detail() if internal else None) or self.received or self.detail()
        if isinstance(detail, AnyProto):
            status.details.append(detail)
        elif detail is not None:
            status.details.add().Pack(detail)
        return status


class InvalidArgument(ServiceError):
    code = Code.INVALID_ARGUMENT


class QueryFailed(InvalidArgument):
    """A query handler answered with a failure."""

    def __init__(self, message: str, failure: Failure | None) -> None:
        super().__init__(message)
        self.failure = failure

    def detail(self) -> Message:
        return QueryFailedFailure(failure=self.failure)


class NotFound(ServiceError):
    code = Code.NOT_FOUND

    def detail(self) -> Message:
        return NotFoundFailure()


class NamespaceNotFound(NotFound):
    def __init__(self, namespace: str) -> None:
        super().__init__(f"Namespace {namespace} is not found.")
        self.namespace = namespace

    def detail(self) -> Message:
        return NamespaceNotFoundFailure(namespace=self.namespace)


class AlreadyExists(ServiceError):
    code = Code.ALREADY_EXISTS


class NamespaceAlreadyExists(AlreadyExists):
    def detail(self) -> Message:
        return NamespaceAlreadyExistsFailure()


class WorkflowExecutionAlreadyStarted(AlreadyExists):
    def __init__(self, message: str, start_request_id: str, run_id: str, first_execution_run_id: str = "") -> None:
        super().__init__(message)
        self.start_request_id = start_request_id
        self.run_id = run_id
        self.first_execution_run_id = first_execution_run_id

    def detail(self) -> Message:
        failure = WorkflowExecutionAlreadyStartedFailure(start_request_id=self.start_request_id, run_id=self.run_id)
        if hasattr(failure, "first_execution_run_id"):
            failure.first_execution_run_id = self.first_execution_run_id
        return failure


class FailedPrecondition(ServiceError):
    code = Code.FAILED_PRECONDITION


class NamespaceInvalidState(FailedPrecondition):
    def __init__(
        self,
        message: str,
        namespace: str,
        state: NamespaceState.ValueType,
        allowed_states: Sequence[NamespaceState.ValueType],
    ) -> None:
        super().__init__(message)
        self.namespace, self.state, self.allowed_states = namespace, state, allowed_states

    def detail(self) -> Message:
        return NamespaceInvalidStateFailure(
            namespace=self.namespace, state=self.state, allowed_states=self.allowed_states
        )


class WorkflowNotReady(FailedPrecondition):
    def detail(self) -> Message:
        return WorkflowNotReadyFailure()


class PermissionDenied(ServiceError):
    code = Code.PERMISSION_DENIED

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason

    def detail(self) -> Message:
        return PermissionDeniedFailure(reason=self.reason)


class ResourceExhausted(ServiceError):
    code = Code.RESOURCE_EXHAUSTED

    def __init__(
        self,
        message: str,
        cause: ResourceExhaustedCause.ValueType,
        scope: ResourceExhaustedScope.ValueType = ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE,
    ) -> None:
        super().__init__(message)
        self.cause, self.scope = cause, scope

    def detail(self) -> Message:
        return ResourceExhaustedFailure(cause=self.cause, scope=self.scope)


class Unavailable(ServiceError):
    code = Code.UNAVAILABLE


class OwnershipLost(Unavailable):
    """This host does not own what the call is about, and did nothing; `owner` is the host that may, if known."""

    def __init__(self, message: str, owner: str = "") -> None:
        super().__init__(message)
        self.owner = owner

    def internal_detail(self) -> Message | None:
        return OwnershipLostDetail(owner=self.owner)


class ShardOwnershipLost(OwnershipLost):
    def __init__(self, shard_id: int, owner: str = "") -> None:
        super().__init__("shard unavailable, please backoff and retry", owner)
        self.shard_id = shard_id


class TaskQueueOwnershipLost(OwnershipLost):
    def __init__(self, owner: str = "") -> None:
        super().__init__("task queue unavailable, please backoff and retry", owner)


class Unreachable(Unavailable):
    """Another host of the cluster could not be asked. `sent`: it may have done what it was asked all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class StickyWorkerUnavailable(Unavailable):
    """Nobody has polled the sticky queue lately; the normal queue can help, a retry here cannot."""

    def __init__(self) -> None:
        super().__init__("sticky worker unavailable, please use original task queue.")

    def internal_detail(self) -> Message | None:
        return StickyWorkerUnavailableDetail()


class DeadlineExceeded(ServiceError):
    code = Code.DEADLINE_EXCEEDED


class Canceled(ServiceError):
    code = Code.CANCELLED


class Aborted(ServiceError):
    """An operation of a multi-operation that was given up because another one failed."""

    code = Code.ABORTED

    def detail(self) -> Message:
        return MultiOperationExecutionAborted()


class Internal(ServiceError):
    code = Code.INTERNAL


class DataLoss(ServiceError):
    code = Code.DATA_LOSS


class Unimplemented(ServiceError):
    code = Code.UNIMPLEMENTED


class Unknown(ServiceError):
    code = Code.UNKNOWN


class MultiOperationFailed(ServiceError):
    """Update-with-start failed; the status of each operation travels in the detail."""

    def __init__(self, message: str, errors: Sequence[ServiceError | None]) -> None:
        super().__init__(message)
        self.errors = errors
        first = next((e for e in errors if e is not None and not isinstance(e, Aborted)), None)
        self.code = first.code if first else Code.INTERNAL  # type: ignore[misc]  # the code of the failed operation

    def detail(self) -> Message:
        failure = MultiOperationExecutionFailure()
        for error in self.errors:
            status = failure.statuses.add()
            if error is None:
                continue
            status.code = int(error.code)
            status.message = error.message
            detail = error.detail()
            if detail is not None:
                packed = AnyProto()
                packed.Pack(detail)
                status.details.append(packed)
        return failure
