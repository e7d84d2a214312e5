"""Raw calls to the frontends of a cluster, each failure noted."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from tests.processes import PUBLIC_API, QUICK_RECONNECT

R = TypeVar("R", bound=Message)

Code = grpc.StatusCode
CALL_S: Final = 10.0
PAUSE_S, PAUSE_S_MAX = 0.05, 0.5
PASSING: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED})


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that was not answered with OK; times are of `time.monotonic`."""

    began: float
    ended: float
    method: str
    address: str
    code: grpc.StatusCode
    details: str

    def __str__(self) -> str:
        return (
            f"{self.method} at {self.address}: {self.code.name} after {self.ended - self.began:.2f} s: {self.details}"
        )


class Caller:
    """Calls go to the frontends in turns. `patient`: they are repeated, unchanged, until there is an answer.

    Nothing else repeats them: gRPC's own retries are off.
    """

    def __init__(self, addresses: Sequence[str], *, patient: bool) -> None:
        options = [*QUICK_RECONNECT, ("grpc.enable_retries", 0)]
        self._channels = {address: grpc.aio.insecure_channel(address, options=options) for address in addresses}
        self._turns = itertools.cycle(addresses)
        self._patient = patient
        self.failures: list[Failure] = []
        self.answered: Counter[str] = Counter()  # by method

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def attempt(self, request: Message, reply: type[R], timeout_s: float = CALL_S) -> R:
        """One call to one frontend. Raises AioRpcError."""
        method, address = type(request).__name__.removesuffix("Request"), next(self._turns)
        unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channels[address].unary_unary(
            f"/{PUBLIC_API}/{method}"
        )
        began = time.monotonic()
        try:
            answer = reply.FromString(await unary(request.SerializeToString(), timeout=timeout_s))
        except grpc.aio.AioRpcError as error:
            failure = Failure(began, time.monotonic(), method, address, error.code(), error.details() or "")
            self.failures.append(failure)
            raise
        self.answered[method] += 1
        return answer

    async def call(self, request: Message, reply: type[R], timeout_s: float = CALL_S) -> R:
        """Raises AioRpcError; a patient caller's is one that a repetition does not help against."""
        pause_s = PAUSE_S
        while True:
            try:
                return await self.attempt(request, reply, timeout_s)
            except grpc.aio.AioRpcError as error:
                if not self._patient or error.code() not in PASSING:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)
