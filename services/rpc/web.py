"""Calls of web addresses that users name: one HTTP/1.1 request a connection, over asyncio streams."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, urlsplit

ANSWER_BYTES_MAX = 64 * 1024  # of a body; the rest is not read
HEADERS_MAX = 200
_OURS = frozenset(("host", "content-length", "connection", "transfer-encoding"))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What came back. `reason` is the status line's text; names of headers are in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class WebError(Exception):
    """No answer came; whether the request arrived is unknown."""


async def post(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> WebAnswer:
    """Posts `body` to a http or https address. Raises WebError; redirections are answers like others."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout_s):
            return await _post(parts, headers, body)
    except TimeoutError:
        raise WebError(f'Post "{url}": context deadline exceeded') from None
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        raise WebError(f'Post "{url}": {_told(parts, error)}') from error


def _told(parts: SplitResult, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {parts.hostname}:{_port(parts)}: connect: connection refused"
    return str(error) or type(error).__name__


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


async def _post(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> WebAnswer:
    head = _head(parts, headers, len(body))
    tls = _trust() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(parts.hostname, _port(parts), ssl=tls)
    try:
        writer.write(head + body)
        await writer.drain()
        return await _answer(reader)
    finally:
        writer.close()


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _head(parts: SplitResult, headers: Mapping[str, str], length: int) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {length}", "Connection: close"]
    for name, value in headers.items():
        if name.lower() in _OURS:
            continue
        if not _NAME.fullmatch(name) or any(ord(char) < 32 and char != "\t" for char in value):
            raise ValueError(f'net/http: invalid header field name "{name}"')
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _answer(reader: asyncio.StreamReader) -> WebAnswer:
    while True:
        version, _, rest = (await _line(reader)).partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not re.fullmatch(r"[1-9]\d\d", code):
            raise ValueError("malformed HTTP response")
        headers = await _headers(reader)
        if int(code) >= 200:  # what comes before is only interim
            return WebAnswer(int(code), reason, headers, await _body(reader, int(code), headers))


async def _line(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\n")).decode("latin-1").rstrip("\r\n")


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(HEADERS_MAX):
        line = await _line(reader)
        if not line:
            return headers
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    raise ValueError("too many headers")


async def _body(reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]) -> bytes:
    if status in (204, 304):
        return b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    if "content-length" not in headers:
        return await reader.read(ANSWER_BYTES_MAX)
    return await reader.readexactly(min(int(headers["content-length"]), ANSWER_BYTES_MAX))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while len(body) < ANSWER_BYTES_MAX:
        size = int((await _line(reader)).partition(";")[0], 16)
        if not size:
            break
        body += await reader.readexactly(min(size, ANSWER_BYTES_MAX))
        await _line(reader)
    return body[:ANSWER_BYTES_MAX]
