"""A TCP proxy in front of a database, to lose what a test wants lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum


class Fault(Enum):
    NONE = "none"
    REPLIES_LOST = "replies lost"  # the first bytes of a reply cut the connection instead
    STALLED = "stalled"  # nothing goes through, either way


class Proxy:
    """Forwards connections; what happens to the bytes on all of them is `fault`."""

    def __init__(self, target: str) -> None:
        self.fault = Fault.NONE
        self.port = 0
        self._target = target
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.partition(":")
        upstream_reader, upstream = await asyncio.open_connection(host, int(port))
        for source, sink, is_reply in ((reader, upstream, False), (upstream_reader, writer, True)):
            pump = asyncio.create_task(self._pump(source, sink, (writer, upstream), is_reply=is_reply))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        is_reply: bool,
    ) -> None:
        try:
            while data := await source.read(65536):
                if self.fault is Fault.REPLIES_LOST and is_reply:
                    break
                if self.fault is not Fault.STALLED:
                    sink.write(data)
                    await sink.drain()
        except ConnectionError:
            pass  # either side went away
        finally:
            for writer in both:
                writer.close()

    async def stop(self) -> None:
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
