"""Which namespace a request is about, and whether that may be worked with: checked before anything else is."""

from collections.abc import Callable, Collection
from typing import Any, Final

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import NamespaceState

from services.errors import InvalidArgument, NamespaceInvalidState
from services.namespaces import Namespace, NamespaceRegistry
from services.protos.run_pb2 import TaskToken

About = Callable[[Any], tuple[str, str]]

_REGISTERED = NamespaceState.NAMESPACE_STATE_REGISTERED
_DEPRECATED = NamespaceState.NAMESPACE_STATE_DEPRECATED
_OPEN: Final = (_REGISTERED, _DEPRECATED)
_STATE_NAMES = {
    _REGISTERED: "Registered",
    _DEPRECATED: "Deprecated",
    NamespaceState.NAMESPACE_STATE_DELETED: "Deleted",
}


def named(namespaces: NamespaceRegistry, *, starts: bool = False) -> About:
    """For requests that name their namespace. Where nothing may be started any more, `starts` are refused."""
    allowed = (_REGISTERED,) if starts else _OPEN

    def about(request: Any) -> tuple[str, str]:
        if not request.namespace:
            raise InvalidArgument("Namespace is empty.")
        namespace = namespaces.by_name(request.namespace)
        require_state(namespace, allowed)
        return namespace.name, namespace.id

    return about


def by_task_token(namespaces: NamespaceRegistry) -> About:
    """For answers to tasks: the token says it, and the request may not contradict."""

    def about(request: Any) -> tuple[str, str]:
        claimed = namespaces.by_name(request.namespace) if request.namespace else None
        if not request.task_token:
            raise InvalidArgument("Task token not set on request.")
        try:
            # The tokens of queries begin alike.
            namespace_id = TaskToken.FromString(request.task_token).namespace_id
        except DecodeError:
            raise InvalidArgument("Error deserializing task token.") from None
        if not namespace_id:
            raise InvalidArgument("Error deserializing task token.")
        namespace = namespaces.by_id(namespace_id)
        if claimed is not None and claimed is not namespace:
            raise InvalidArgument("Operation requested with a token from a different namespace.")
        require_state(namespace, _OPEN)
        return namespace.name, namespace.id

    return about


def require_state(namespace: Namespace, allowed: Collection[NamespaceState.ValueType] = _OPEN) -> None:
    """Raises NamespaceInvalidState."""
    if namespace.state in allowed:
        return
    wanted = " or ".join(_STATE_NAMES[state] for state in allowed)
    raise NamespaceInvalidState(
        f"Namespace has invalid state: {_STATE_NAMES.get(namespace.state, namespace.state)}. Must be {wanted}.",
        namespace.name,
        namespace.state,
        list(allowed),
    )
