"""Messages as text, with what may legitimately differ between two servers taken out.

Everything that is normalised is in this file: `IGNORED` (left out), `MEASURED` (rounded), `OPAQUE` (only its
presence counts), `TOLD_BY_EITHER` (texts of errors), times (present or zero), UUIDs and error hashes (numbered in
order of appearance). All else must be equal.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import temporalio.api.errordetails.v1
import temporalio.api.failure.v1
import temporalio.api.update.v1  # noqa: F401 (registers the messages that travel inside Any)
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    Value = Message | str | bytes | int | float | bool

# Field (message.field) -> why two correct servers may give different values.
IGNORED = {
    "HistoryEvent.task_id": "counter of the shard, shared with its other runs",
    "WorkflowTaskStartedEventAttributes.history_size_bytes": "size of the server's own encoding",
    "WorkflowExecutionInfo.history_size_bytes": "size of the server's own encoding",
    "WorkflowExecutionInfo.state_transition_count": "number of the server's own transactions",
    "WorkflowExecutionInfo.execution_duration": "measured time",
    "PollWorkflowTaskQueueResponse.backlog_count_hint": "depends on whether the poll or the task came first",
    "PollWorkflowTaskQueueResponse.poller_scaling_decision": "depends on whether the poll or the task came first",
    "PollActivityTaskQueueResponse.poller_scaling_decision": "depends on whether the poll or the task came first",
    "PollWorkflowTaskQueueResponse.poller_group_id": "names a partition of the server's own choice",
    "PollWorkflowTaskQueueResponse.poller_group_infos": "names partitions of the server's own choice",
    "PollActivityTaskQueueResponse.poller_group_id": "names a partition of the server's own choice",
    "PollActivityTaskQueueResponse.poller_group_infos": "names partitions of the server's own choice",
    "NamespaceConfig.custom_search_attribute_aliases": "which column holds an attribute is the store's own choice",
    "GetClusterInfoResponse.cluster_id": "drawn at random when the cluster is made",
    "GetClusterInfoResponse.server_version": "the server's own version",
    "GetClusterInfoResponse.version_info": "the server's own release notes",
    "GetClusterInfoResponse.history_shard_count": "a choice of the installation",
    "GetSystemInfoResponse.server_version": "the server's own version",
}

# Duration (message.field) -> how it is shown, and why no more exactly.
MEASURED: dict[str, tuple[Callable[[float], str], str]] = {
    "WorkflowExecutionStartedEventAttributes.first_workflow_task_backoff": (
        lambda value: f"at most {math.ceil(round(value, 2))}s",
        "what is left of a second: until a cron slot, or since the run that continued as new began",
    ),
    "PendingActivityInfo.current_retry_interval": (
        lambda value: f"{value:.1f}s" if value < 1e9 else "<since 1970>",
        "recomputed from two measured times; after an attempt that timed out the reference takes the epoch for one",
    ),
    "WorkflowTaskScheduledEventAttributes.start_to_close_timeout": (
        lambda value: f"{value:g}s" if value.is_integer() else "<random>",
        "from the fourth attempt on it grows by a random amount",
    ),
}

# Field name -> why its content is the server's own business; that it is set is compared.
OPAQUE = {
    "task_token": "only the server that made it reads it",
    "next_page_token": "only the server that made it reads it",
    "conflict_token": "only the server that made it reads it",
}

# Repeated field (message.field) -> why its entries come in any order; they are shown sorted.
UNORDERED = {
    "DescribeWorkflowExecutionResponse.callbacks": "entries of a map",
    "DescribeWorkflowExecutionResponse.pending_activities": "entries of a map",
    "DescribeWorkflowExecutionResponse.pending_children": "entries of a map",
    "WorkflowExecutionStartedEventAttributes.completion_callbacks": "entries of a map, in runs that follow others",
}

# Status code -> why its text and details are left out.
TOLD_BY_EITHER = {"DEADLINE_EXCEEDED": "client and server notice at the same time, and either may be the one to tell"}

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")  # of a listener of the scenario's own
_TRANSACTION = re.compile(r"(?<=transaction size of )\d+(?= bytes)")  # in the server's own encoding
_MASKED = re.compile(r"(?<=please retry \()[0-9a-f]{8}(?=\))")  # hash of an internal error's text


class Normaliser:
    """Renders the messages of one transcript; an id keeps its number over the whole transcript."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def text(self, value: str) -> str:
        """The text with each UUID replaced by its number in order of appearance."""
        numbered = _UUID.sub(lambda found: self._ids.setdefault(found[0], f"uuid-{len(self._ids) + 1}"), value)
        return _MASKED.sub("<hash>", _TRANSACTION.sub("<size>", _PORT.sub("<port>", numbered)))

    def lines(self, message: Message, indent: str = "") -> Iterator[str]:
        """One line a field, in field order, nested messages indented."""
        for field, value in message.ListFields():
            if field.containing_type is not None and f"{field.containing_type.name}.{field.name}" in IGNORED:
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                inner = field.message_type.fields_by_name["value"]
                for key in sorted(value):
                    yield from self._field(f"{field.name}[{self.text(str(key))}]", inner, value[key], indent)
            elif field.is_repeated:
                shown = [list(self._field(field.name, field, item, indent)) for item in value]
                if field.containing_type is not None and f"{field.containing_type.name}.{field.name}" in UNORDERED:
                    shown.sort()
                for lines in shown:
                    yield from lines
            else:
                yield from self._field(field.name, field, value, indent)

    def _field(self, label: str, field: FieldDescriptor, value: "Value", indent: str) -> Iterator[str]:
        match value:
            case Timestamp():
                yield f"{indent}{label}: {'<time>' if value.seconds > 0 else '<zero time>'}"
            case Duration():
                yield f"{indent}{label}: {_seconds(field, value)}"
            case AnyMessage():
                yield from self.packed(label, value, indent)
            case Message():
                yield f"{indent}{label}:"
                yield from self.lines(value, indent + "  ")
            case bytes() if field.name in OPAQUE:
                yield f"{indent}{label}: <opaque>"
            case bytes():
                yield f"{indent}{label}: {_short(self.text(value.decode('utf-8', 'backslashreplace')))!r}"
            case str():
                yield f"{indent}{label}: {_short(self.text(value))!r}"
            case int() if field.enum_type is not None:
                known = field.enum_type.values_by_number.get(value)
                yield f"{indent}{label}: {known.name if known else value}"
            case _:
                yield f"{indent}{label}: {value}"

    def packed(self, label: str, value: AnyMessage, indent: str) -> Iterator[str]:
        """A packed message by type and fields; one of unknown type by its bytes."""
        yield f"{indent}{label}: {value.type_url}"
        try:
            descriptor = descriptor_pool.Default().FindMessageTypeByName(value.TypeName())
            inner = message_factory.GetMessageClass(descriptor).FromString(value.value)
        except (KeyError, DecodeError):
            yield f"{indent}  {value.value!r}"
            return
        yield from self.lines(inner, indent + "  ")


def _seconds(field: FieldDescriptor, value: Duration) -> str:
    exact = value.seconds + value.nanos / 1e9
    owner = field.containing_type.name if field.containing_type is not None else ""
    measured = MEASURED.get(f"{owner}.{field.name}")
    return f"{exact:g}s" if measured is None else measured[0](exact)


def _short(text: str) -> str:
    """A long text by its ends and its length: an oversized id or payload would bury the transcript."""
    return text if len(text) <= 2000 else f"{text[:40]}...({len(text)} characters)...{text[-40:]}"
