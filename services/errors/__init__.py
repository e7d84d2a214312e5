"""Errors that clients see: a gRPC status, a detail message SDKs branch on, and a text that tells what to do.

ServiceError
  InvalidArgument  QueryFailed
  NotFound  NamespaceNotFound
  AlreadyExists  NamespaceAlreadyExists  WorkflowExecutionAlreadyStarted
  FailedPrecondition  NamespaceInvalidState  WorkflowNotReady
  PermissionDenied
  ResourceExhausted
  Unavailable  OwnershipLost (ShardOwnershipLost  TaskQueueOwnershipLost)  StickyWorkerUnavailable  Unreachable
  DeadlineExceeded  Canceled  Aborted  Internal  DataLoss  Unimplemented  Unknown
  MultiOperationFailed
"""

from services.errors.received import received
from services.errors.service_errors import (
    Aborted,
    AlreadyExists,
    Canceled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    MultiOperationFailed,
    NamespaceAlreadyExists,
    NamespaceInvalidState,
    NamespaceNotFound,
    NotFound,
    OwnershipLost,
    PermissionDenied,
    QueryFailed,
    ResourceExhausted,
    ServiceError,
    ShardOwnershipLost,
    StickyWorkerUnavailable,
    TaskQueueOwnershipLost,
    Unavailable,
    Unimplemented,
    Unknown,
    Unreachable,
    WorkflowExecutionAlreadyStarted,
    WorkflowNotReady,
)

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Canceled",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "MultiOperationFailed",
    "NamespaceAlreadyExists",
    "NamespaceInvalidState",
    "NamespaceNotFound",
    "NotFound",
    "OwnershipLost",
    "PermissionDenied",
    "QueryFailed",
    "ResourceExhausted",
    "ServiceError",
    "ShardOwnershipLost",
    "StickyWorkerUnavailable",
    "TaskQueueOwnershipLost",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "Unreachable",
    "WorkflowExecutionAlreadyStarted",
    "WorkflowNotReady",
    "received",
]
