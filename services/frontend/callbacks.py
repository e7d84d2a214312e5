"""What completion callbacks may be: checked in the reference's order. (events_commands.md section 11)"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from google.protobuf.message import Message
from temporalio.api.common.v1 import Callback, Link

from services.config import DynamicConfig, limits
from services.errors import InvalidArgument, Unimplemented

SYSTEM_URL = "temporal://system"  # where this cluster itself waits for the end of a Nexus operation
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_callbacks(callbacks: Sequence[Callback], config: DynamicConfig, namespace: str) -> None:
    """Raises InvalidArgument or Unimplemented, or leaves them ready for history: names of headers in lower case."""
    most = config.get(limits.MAX_CALLBACKS_PER_EXECUTION, namespace)
    if len(callbacks) > most:
        raise InvalidArgument(f"cannot attach more than {most} callbacks to an execution")
    for callback in callbacks:
        _check(callback, config, namespace)


def links_of_callbacks(request: Message) -> list[Link]:
    """They count among the links of a start. (A signal with start has no callbacks.)"""
    callbacks: Sequence[Callback] = getattr(request, "completion_callbacks", ())
    return [link for callback in callbacks for link in callback.links]


def _check(callback: Callback, config: DynamicConfig, namespace: str) -> None:
    variant = callback.WhichOneof("variant")
    if variant is None:
        raise Unimplemented("unknown callback variant: <nil>")
    if variant != "nexus":
        raise InvalidArgument(f"unsupported callback variant: *common.Callback_{variant.title()}_")
    url_max = config.get(limits.CALLBACK_URL_MAX_LENGTH, namespace)
    if len(callback.nexus.url.encode()) > url_max:
        raise InvalidArgument(f"invalid url: url length longer than max length allowed of {url_max}")
    _check_address(callback.nexus.url, config, namespace)
    header_max = config.get(limits.CALLBACK_HEADER_MAX_SIZE, namespace)
    header = dict(callback.nexus.header)
    if sum(len(name.encode()) + len(value.encode()) for name, value in header.items()) > header_max:
        raise InvalidArgument(f"invalid header: header size longer than max allowed size of {header_max}")
    callback.nexus.header.clear()
    callback.nexus.header.update({name.lower(): value for name, value in header.items()})


def _check_address(url: str, config: DynamicConfig, namespace: str) -> None:
    if url == SYSTEM_URL:
        return
    why = _why_unreadable(url)
    if why is not None:
        raise InvalidArgument(f'invalid callback url: parse "{url}": {why}')
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise InvalidArgument(f"invalid url: unknown scheme: {url}")
    host = parts.netloc.rpartition("@")[2]
    if not host:
        raise InvalidArgument("invalid url: missing host")
    for rule in config.get(limits.CALLBACK_ALLOWED, namespace).matching(host):
        if not rule.allow_insecure and parts.scheme != "https":
            raise InvalidArgument(f"invalid url: callback address does not allow insecure connections: {url}")
        return
    raise InvalidArgument(f"invalid url: url does not match any configured callback address: {url}")


def _why_unreadable(url: str) -> str | None:
    """What Go's parser says of it."""
    if _CONTROL.search(url):
        return "net/url: invalid control character in URL"
    escape = _BAD_ESCAPE.search(url)
    if escape is not None:
        return f'invalid URL escape "{escape[0]}"'
    try:
        _ = urlsplit(url).port
    except ValueError:
        port = url.partition("://")[2].partition("/")[0].rpartition(":")[2]
        return f'invalid port ":{port}" after host'
    return None
