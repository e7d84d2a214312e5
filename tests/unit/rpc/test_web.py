"""Calls of web addresses: what is sent, what comes back, and what counts as no answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from services.rpc import WebError, post

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@asynccontextmanager
async def serving(answer: bytes, *, stays: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that takes one request's head and a body of four bytes, and says `answer`."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(4))
        writer.write(answer)
        await writer.drain()
        if stays:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came
    finally:
        server.close()
        await server.wait_closed()


async def test_a_request_says_what_it_was_given() -> None:
    async with serving(b"HTTP/1.1 200 Fine\r\nX-Word: yes\r\nContent-Length: 2\r\n\r\nok", stays=True) as (url, came):
        headers = {"X-Own": "a b", "Content-Length": "999", "Host": "elsewhere"}
        answer = await post(f"{url}/path?q=1", headers, b"body", 5)
    assert (answer.status, answer.reason, answer.body) == (200, "Fine", b"ok")
    assert answer.headers["x-word"] == "yes"
    head, _, body = came[0].partition(b"\r\n\r\n")
    host = url.removeprefix("http://").encode()
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /path?q=1 HTTP/1.1"
    sent = [line for line in lines if not line.startswith(b"Accept-Encoding")]
    assert sorted(sent) == [
        b"Connection: close",
        b"Content-Length: 4",
        b"Host: " + host,
        b"User-Agent: perdure",
        b"X-Own: a b",
    ]
    assert body == b"body"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
async def test_answers_are_read_however_they_are_framed(answer: bytes, body: bytes) -> None:
    async with serving(answer) as (url, _):
        assert (await post(url, {}, b"body", 5)).body == body


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-server\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_what_is_cut_short_or_no_http_is_no_answer(answer: bytes) -> None:
    async with serving(answer) as (url, _):
        with pytest.raises(WebError, match=r"^Post "):
            await post(url, {}, b"body", 5)


async def test_silence_is_no_answer() -> None:
    async with serving(b"", stays=True) as (url, _):
        with pytest.raises(WebError, match="context deadline exceeded"):
            await post(url, {}, b"body", 0.05)


async def test_nobody_there() -> None:
    with pytest.raises(WebError, match=r"dial tcp 127.0.0.1:1: connect: connection refused"):
        await post("http://127.0.0.1:1/x", {}, b"", 5)


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("a", "x\r\nInjected: y"), ("a:b", "x")])
async def test_headers_that_would_say_something_else_are_not_sent(name: str, value: str) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", stays=True) as (url, came):
        with pytest.raises(WebError, match=r"[Ii](nvalid|llegal) header"):
            await post(url, {name: value}, b"body", 5)
    assert not came
