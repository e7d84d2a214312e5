"""What a server serves: a table from full method names to these."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from services.rpc.call import Call

Reply = Message | bytes | None  # None is an empty message


def about_nobody(_request: object) -> tuple[str, str]:
    """For methods that concern the whole cluster."""
    return "", ""


@dataclass(frozen=True, slots=True)
class Method:
    """One method: the type of its request, who answers it, and the name and id of the namespace a request is about.

    Both functions may raise services.errors.ServiceError. `operation` is what metrics call it, when not by its name.
    """

    request: type[Message]
    answer: Callable[[Call, Any], Awaitable[Reply]]
    about: Callable[[Any], tuple[str, str]] = about_nobody
    operation: Callable[[Any], str] | None = None
