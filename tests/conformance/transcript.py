"""What a scenario saw of a server: calls with their replies or errors, notes, and histories at the end."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from temporalio.api.common.v1 import WorkflowExecution

from tests.conformance.normalise import TOLD_BY_EITHER, Normaliser


@dataclass
class Refusal:
    """A gRPC error: code, text, and the details in the trailer."""

    code: grpc.StatusCode
    text: str
    details: Status

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refusal":
        """The refusal an RPC error carries; details that are no status message count as none."""
        status = Status()
        if error.code().name in TOLD_BY_EITHER:
            return cls(error.code(), "<told by the client or the server>", status)
        for key, value in error.trailing_metadata():
            if key == "grpc-status-details-bin" and isinstance(value, bytes):
                try:
                    status = Status.FromString(value)
                except DecodeError:
                    status = Status(message="<details that are no google.rpc.Status>")
        return cls(error.code(), error.details() or "", status)


@dataclass
class Entry:
    """One line of the story. It takes its place when the call goes out, so concurrent calls keep their order."""

    title: str
    outcome: Message | Refusal | None = None


@dataclass
class Transcript:
    """Entries in the order the calls went out; `stopped` says why the scenario ended before its end."""

    entries: list[Entry] = field(default_factory=list)
    runs: dict[tuple[str, str], None] = field(default_factory=dict)
    stopped: str = ""

    def enter(self, title: str) -> Entry:
        """Take the next place."""
        entry = Entry(title)
        self.entries.append(entry)
        return entry

    def ran(self, workflow_id: str, run_id: str) -> None:
        """Remember a run, so that its history is told at the end."""
        if workflow_id and run_id:
            self.runs.setdefault((workflow_id, run_id))

    def settle(self, entry: Entry, outcome: Message | Refusal) -> None:
        """Fill an entry's place with its outcome, and remember the runs it names."""
        entry.outcome = outcome
        if isinstance(outcome, Message):
            for workflow_id, run_id in _runs_in(outcome):
                self.ran(workflow_id, run_id)

    def render(self) -> list[str]:
        """The normalised text, by which two servers are compared."""
        normaliser = Normaliser()
        lines: list[str] = []
        for entry in self.entries:
            lines.append(f"# {normaliser.text(entry.title)}")
            match entry.outcome:
                case Refusal(code, text, details):
                    lines.append(f"  ! {code.name}: {normaliser.text(text)}")
                    if details.message not in ("", text):
                        lines.append(f"  ! the details say: {normaliser.text(details.message)}")
                    for detail in details.details:
                        lines.extend(normaliser.packed("detail", detail, "  "))
                case Message() as reply:
                    lines.extend(normaliser.lines(reply, "  "))
        if self.stopped:
            lines.append(f"! stopped: {normaliser.text(self.stopped)}")
        return lines


def _runs_in(message: Message) -> Iterator[tuple[str, str]]:
    if isinstance(message, WorkflowExecution):
        yield message.workflow_id, message.run_id
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for inner in value if descriptor.is_repeated else [value]:
            yield from _runs_in(inner)
