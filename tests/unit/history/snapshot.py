"""A run as plain values that no later change of a shared message can reach."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from services.history.core.run import Run

Frozen = tuple[Any, ...]


def snapshot(run: Run) -> Frozen:
    """Everything the run holds; equal snapshots are equal runs."""
    maps = (
        run.activities,
        run.timers,
        run.children,
        run.signals,
        run.cancels,
        run.buffered,
        run.updates,
        run.callbacks,
    )
    return (
        frozen(run.info),
        tuple(entries(entry) for entry in maps),
        dict(run.activity_ids),
        frozenset(run.signal_requests),
        {key: (frozen(update.request), update.sent_event_id) for key, update in run.admitted.items()},
    )


def entries(messages: Mapping[Any, Message]) -> dict[Any, bytes]:
    return {key: frozen(message) for key, message in messages.items()}


def frozen(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
