"""Calls of web addresses that users name. httpx does the work; it is imported when the first call is made."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

ANSWER_BYTES_MAX = 64 * 1024  # of a body; the rest is not read
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(("host", "content-length", "connection", "transfer-encoding"))


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
    """Posts `body` to a http or https address, on a connection of its own and through no proxy. Redirections are
    answers like others. Raises WebError.
    """
    import httpx

    sent = {"User-Agent": "perdure", "Connection": "close"}
    sent |= {name: text for name, text in headers.items() if name.lower() not in _OURS}
    for name in sent:
        if not _NAME.fullmatch(name):
            raise WebError(f'Post "{url}": net/http: invalid header field name "{name}"')
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=None) as client,  # noqa: S113 - the line above
        ):
            del client.headers["Accept"]  # which httpx adds, and the reference does not send
            async with client.stream("POST", url, headers=sent, content=body) as answer:
                told = {name.lower(): text for name, text in answer.headers.items()}
                return WebAnswer(answer.status_code, answer.reason_phrase, told, await _start_of(answer.aiter_bytes()))
    except TimeoutError:
        raise WebError(f'Post "{url}": context deadline exceeded') from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise WebError(f'Post "{url}": {_told(url, error)}') from error


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _start_of(chunks: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) >= ANSWER_BYTES_MAX:
            break
    return body[:ANSWER_BYTES_MAX]


def _told(url: str, error: Exception) -> str:
    """As the reference tells it, where users see that most."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, ConnectionRefusedError):
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            return f"dial tcp {parts.hostname}:{port}: connect: connection refused"
        reason = reason.__cause__ or reason.__context__
    return str(error) or type(error).__name__
