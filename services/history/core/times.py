"""Nanoseconds here, protobuf durations and timestamps in the API."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1_000_000_000


def ns_of(value: Duration | Timestamp) -> int:
    """An unset duration or timestamp is 0."""
    return value.seconds * SECOND + value.nanos


def duration(ns: int) -> Duration:
    return Duration(seconds=ns // SECOND, nanos=ns % SECOND)


def timestamp(ns: int) -> Timestamp:
    return Timestamp(seconds=ns // SECOND, nanos=ns % SECOND)
