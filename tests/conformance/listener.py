"""A web server of a scenario's own: it answers what it is told to, and tells what came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.api.common.v1 import Callback

from tests.conformance.wire import CALL_LIMIT_S

ANSWER = b"HTTP/1.1 %d Answer\r\n%sContent-Length: 0\r\n\r\n"
FRAMING = ("host", "user-agent", "content-length", "transfer-encoding", "accept-encoding", "connection")
MEASURED = ("nexus-operation-close-time", "nexus-operation-start-time")


class Listener:
    """Requests by path, in the words of the transcript; `statuses` are given out in turn, the last one for ever."""

    def __init__(self) -> None:
        self.statuses: list[int] = [200]
        self.header = b""
        self.port = 0
        self._came: dict[str, asyncio.Queue[str]] = {}
        self._open: set[asyncio.StreamWriter] = set()

    def address(self, path: str, **header: str) -> Callback:
        """A callback to this listener."""
        return Callback(nexus=Callback.Nexus(url=f"http://127.0.0.1:{self.port}{path}", header=header))

    async def request(self, path: str) -> str:
        """The next request to a path."""
        async with asyncio.timeout(CALL_LIMIT_S):
            return await self._queue(path).get()

    def _queue(self, path: str) -> asyncio.Queue[str]:
        return self._came.setdefault(path, asyncio.Queue())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await _body(reader, headers)
                self._queue(first.split()[1]).put_nowait(_told(first, headers, body))
                status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                writer.write(ANSWER % (status, self.header))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def close(self) -> None:
        """Closes connections that clients keep."""
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A listener on a free port."""
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        listener.close()
        await server.wait_closed()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _told(first: str, headers: dict[str, str], body: bytes) -> str:
    """What matters of a request: how it is framed is HTTP's business, and times are present or not."""
    told = {name: "<time>" if name in MEASURED else value for name, value in headers.items() if name not in FRAMING}
    return "\n".join([first, *(f"{name}: {value}" for name, value in sorted(told.items())), repr(body)])
