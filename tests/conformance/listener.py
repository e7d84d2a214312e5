"""A web server of a scenario's own: it answers what it is told to, and tells what came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any

from temporalio.api.common.v1 import Callback

from tests.conformance.wire import CALL_LIMIT_S

FRAMING = ("host", "user-agent", "content-length", "transfer-encoding", "accept-encoding", "connection")
MEASURED = ("nexus-operation-close-time", "nexus-operation-start-time")
STOP_POLL_S = 0.01


class Listener:
    """Requests by path, in the words of the transcript; `statuses` are given out in turn, the last one for ever."""

    def __init__(self) -> None:
        self.statuses: list[int] = [200]
        self.header: dict[str, str] = {}
        self.port = 0
        self._came: dict[str, asyncio.Queue[str]] = {}

    def address(self, path: str, **header: str) -> Callback:
        """A callback to this listener."""
        return Callback(nexus=Callback.Nexus(url=f"http://127.0.0.1:{self.port}{path}", header=header))

    async def request(self, path: str) -> str:
        """The next request to a path."""
        async with asyncio.timeout(CALL_LIMIT_S):
            return await self._queue(path).get()

    async def answer(self, path: str, request: str) -> int:
        """Take a request, and say which status answers it."""
        self._queue(path).put_nowait(request)
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def _queue(self, path: str) -> asyncio.Queue[str]:
        return self._came.setdefault(path, asyncio.Queue())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CALL_LIMIT_S

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop, *connection: Any) -> None:
        self._listener, self._loop = listener, loop
        super().__init__(*connection)

    def do_POST(self) -> None:
        told = _told(self.requestline, self.headers, _body(self.rfile, self.headers))
        answer = asyncio.run_coroutine_threadsafe(self._listener.answer(self.path, told), self._loop)
        self.send_response_only(answer.result(), "Answer")
        for name, value in {"Content-Length": "0", "Connection": "close", **self._listener.header}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the transcript tells what came."""


class _Server(ThreadingTCPServer):
    request_queue_size = 100  # callbacks come in crowds


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A listener on a free port; its end waits for the requests that it has taken."""
    listener = Listener()
    server = _Server(("127.0.0.1", 0), partial(_Handler, listener, asyncio.get_running_loop()))
    listener.port = server.server_address[1]
    serving = Thread(target=server.serve_forever, args=(STOP_POLL_S,))
    serving.start()

    def stop() -> None:
        server.shutdown()
        serving.join()
        server.server_close()

    try:
        yield listener
    finally:
        await asyncio.to_thread(stop)


def _body(came: BufferedIOBase, headers: Message) -> bytes:
    if headers.get("Transfer-Encoding") != "chunked":
        return came.read(int(headers.get("Content-Length", 0)))
    body = b""
    while size := int(came.readline(), 16):
        body += came.read(size)
        came.readline()
    came.readline()
    return body


def _told(first: str, headers: Message, body: bytes) -> str:
    """What matters of a request: how it is framed is HTTP's business, and times are present or not."""
    came = {name.lower(): value for name, value in headers.items()}
    told = {name: "<time>" if name in MEASURED else value for name, value in came.items() if name not in FRAMING}
    return "\n".join([first, *(f"{name}: {value}" for name, value in sorted(told.items())), repr(body)])
