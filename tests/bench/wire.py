"""Requests as bytes, serialised once and completed per call: the generator shares the machine with its server."""

from collections.abc import Awaitable, Callable

import grpc.aio
from google.protobuf.message import Message

Call = Callable[..., Awaitable[bytes]]


def method(channel: grpc.aio.Channel, name: str) -> Call:
    """A WorkflowService call that takes and gives bytes: the caller decides what is worth parsing."""
    return channel.unary_unary(f"/temporal.api.workflowservice.v1.WorkflowService/{name}")


def varint(number: int) -> bytes:
    """A non-negative integer in protobuf's base-128 encoding."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Template:
    """A serialised message with holes, which must be string, bytes or message fields left unset in `message`.

    Concatenated encodings merge, so a field appended to a serialised message sets that field.
    """

    def __init__(self, message: Message, *holes: str) -> None:
        fields = message.DESCRIPTOR.fields_by_name
        self._known = message.SerializeToString()
        self._tags = [varint(fields[hole].number << 3 | 2) for hole in holes]

    def fill(self, *values: bytes) -> bytes:
        """The message's bytes with one value for each hole, in the order the holes were named."""
        parts = [self._known]
        for tag, value in zip(self._tags, values, strict=True):
            parts += (tag, varint(len(value)), value)
        return b"".join(parts)
