"""What travels with every call between services: who asks, for which namespace, and until when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`deadline` is on the clock's monotonic scale, in seconds; None means that the caller set none."""

    namespace: str = ""
    namespace_id: str = ""
    deadline: float | None = None
    client_name: str = ""
    client_version: str = ""
    client_features: frozenset[str] = frozenset()
    forwarded_from: str = ""  # the task queue partition that forwards a task or a poll
