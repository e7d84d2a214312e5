"""A TCP proxy that can stop to forward, in both directions or in one, as a cut in a network does."""

import asyncio
from contextlib import suppress


class Proxy:
    """Stands before one server. While it is cut, what is sent waits, and nobody new gets through."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._to_server, self._to_client = asyncio.Event(), asyncio.Event()
        self.heal()

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1")
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        port = self._listener.sockets[0].getsockname()[1]
        return f"127.0.0.1:{port}"

    def cut(self, *, to_server: bool = True, to_client: bool = True) -> None:
        if to_server:
            self._to_server.clear()
        if to_client:
            self._to_client.clear()

    def heal(self) -> None:
        self._to_server.set()
        self._to_client.set()

    async def close(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._to_server.wait()
            await self._to_client.wait()
            up_reader, up_writer = await asyncio.open_connection(*self._server)
            pumps = [
                asyncio.create_task(_pump(reader, up_writer, self._to_server)),
                asyncio.create_task(_pump(up_reader, writer, self._to_client)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                up_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the test is over
        finally:
            self._connections.discard(task)
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, open_: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            await open_.wait()
            writer.write(data)
            await writer.drain()
