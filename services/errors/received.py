"""An error that came from another service, as the class it was there."""

from typing import Final

from google.rpc.status_pb2 import Status

from services.errors import service_errors as known
from services.errors.service_errors import Code, ServiceError
from services.protos.call_pb2 import OwnershipLostDetail

# Which class a detail message stands for; without one, the status code says it.
BY_DETAIL: Final[dict[str, type[ServiceError]]] = {
    "temporal.api.errordetails.v1.QueryFailedFailure": known.QueryFailed,
    "temporal.api.errordetails.v1.NamespaceNotFoundFailure": known.NamespaceNotFound,
    "temporal.api.errordetails.v1.NamespaceAlreadyExistsFailure": known.NamespaceAlreadyExists,
    "temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure": known.WorkflowExecutionAlreadyStarted,
    "temporal.api.errordetails.v1.NamespaceInvalidStateFailure": known.NamespaceInvalidState,
    "temporal.api.errordetails.v1.WorkflowNotReadyFailure": known.WorkflowNotReady,
    "temporal.api.errordetails.v1.MultiOperationExecutionFailure": known.MultiOperationFailed,
    "perdure.internal.v1.StickyWorkerUnavailableDetail": known.StickyWorkerUnavailable,
}
BY_CODE: Final[dict[int, type[ServiceError]]] = {
    int(kind.code): kind
    for kind in (
        known.Canceled,
        known.Unknown,
        known.InvalidArgument,
        known.DeadlineExceeded,
        known.NotFound,
        known.AlreadyExists,
        known.PermissionDenied,
        known.ResourceExhausted,
        known.FailedPrecondition,
        known.Aborted,
        known.Unimplemented,
        known.Internal,
        known.Unavailable,
        known.DataLoss,
    )
}


def received(status: Status) -> ServiceError:
    """Raise it: its class, code and text are the sender's, and its detail travels on unread."""
    detail = status.details[0] if status.details else None
    name = detail.TypeName() if detail is not None else ""
    if detail is not None and detail.Is(OwnershipLostDetail.DESCRIPTOR):
        lost = OwnershipLostDetail.FromString(detail.value)
        return known.OwnershipLost(status.message, lost.owner)
    kind = BY_DETAIL.get(name) or BY_CODE.get(status.code, known.Unknown)
    error = kind.__new__(kind)
    ServiceError.__init__(error, status.message)
    if status.code in set(Code):
        error.code = Code(status.code)  # type: ignore[misc]  # a multi-operation has the code of what failed in it
    if name.startswith("temporal."):
        error.received = detail
    return error
