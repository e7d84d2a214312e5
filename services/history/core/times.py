"""Nanoseconds here, protobuf durations and timestamps in the API."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1_000_000_000
CENTURY_S = 100 * 365 * 24 * 3600


def ns_of(value: Duration | Timestamp) -> int:
    """An unset duration or timestamp is 0."""
    return value.seconds * SECOND + value.nanos


def why_invalid_duration(value: Duration) -> str | None:
    """What is wrong with a duration, or None. One that is longer than a century is cut to it."""
    seconds, nanos = value.seconds, value.nanos
    if (seconds > 0 > nanos) or (seconds < 0 < nanos):
        return "duration has seconds and nanos with different signs"
    if seconds < 0 or nanos < 0:
        return "negative duration"
    if seconds >= CENTURY_S:
        value.seconds, value.nanos = CENTURY_S, 0
    return None


def duration(ns: int) -> Duration:
    return Duration(seconds=ns // SECOND, nanos=ns % SECOND)


def timestamp(ns: int) -> Timestamp:
    return Timestamp(seconds=ns // SECOND, nanos=ns % SECOND)
