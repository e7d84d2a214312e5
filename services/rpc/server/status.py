"""From what a handler raised to what a client sees: a status code, a text, and the details SDKs branch on."""

import grpc
from google.protobuf.message import DecodeError

from services.errors import DataLoss, Internal, ResourceExhausted, ServiceError, Unavailable

Trailers = tuple[tuple[str, str | bytes], ...]

_CODES = {code.value[0]: code for code in grpc.StatusCode}
MASKED = "something went wrong, please retry"
REQUEST_BYTES_MAX = 4 * 1024 * 1024


class RequestTooLarge(ServiceError):
    """The text is grpc-go's, by which SDKs tell it from an exhausted quota."""

    code = ResourceExhausted.code

    def __init__(self, size: int) -> None:
        super().__init__(f"grpc: received message larger than max ({size} vs. {REQUEST_BYTES_MAX})")


class Undecodable(ServiceError):
    """An internal error in the eyes of the reference's transport; unlike others it is not masked."""

    code = Internal.code

    def __init__(self, error: DecodeError) -> None:
        known = "string field contains invalid UTF-8" if "UTF-8" in str(error) else None
        reason = known or "proto: cannot parse invalid wire-format data"
        super().__init__(f"grpc: error unmarshalling request: {reason}")


def code_of(error: ServiceError) -> grpc.StatusCode:
    return _CODES[int(error.code)]


def trailers_of(error: ServiceError, *, internal: bool = False) -> Trailers:
    """The trailing metadata of an error: its detail message in a google.rpc.Status, if it has one.

    Between services there always is one: an error without it is the network's.
    """
    status = error.status(internal=internal)
    return (("grpc-status-details-bin", status.SerializeToString()),) if internal or status.details else ()


def masked(error: ServiceError, reference: str) -> ServiceError:
    """What clients may know of an internal error; `reference` leads to the log line that says all."""
    if isinstance(error, DataLoss):
        return Unavailable("internal history service error")
    if isinstance(error, Internal):
        return Internal(f"{MASKED} ({reference})")
    return error
