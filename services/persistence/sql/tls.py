"""TLS towards a database server, as the configuration describes it."""

import base64
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.config.stores import StoreTLS
from services.persistence.interface import StoreError


class _Context(ssl.SSLContext):
    """A context that expects one name of the server, whatever the address it was found at. Drivers do not ask."""

    server_name = ""

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        if self.server_name:
            keywords["server_hostname"] = self.server_name
        return super().wrap_bio(*arguments, **keywords)


def tls_context(config: StoreTLS | None) -> ssl.SSLContext | None:
    """None when TLS is off. Files are read now. Raises StoreError."""
    if config is None or not config.enabled:
        return None
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = config.server_name
    context.check_hostname = config.enable_host_verification
    context.verify_mode = ssl.CERT_REQUIRED if config.enable_host_verification else ssl.CERT_NONE
    try:
        if config.ca_file or config.ca_data:
            context.load_verify_locations(config.ca_file or None, cadata=_decoded(config.ca_data) or None)
        else:
            context.load_default_certs()
        if config.cert_file or config.cert_data:
            with _file(config.cert_file, config.cert_data) as cert, _file(config.key_file, config.key_data) as key:
                context.load_cert_chain(cert, key or None)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise StoreError(f"tls: {error}") from error
    return context


def refuses_tls(error: BaseException | None) -> bool:
    """Whether a connection failed for a certificate or for want of TLS, which waiting does not mend."""
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL upgrade" in str(error):  # asyncpg's, of a server that has no TLS
            return True
        error = error.__cause__ or error.__context__
    return False


def _decoded(data: str) -> str:
    """The configuration holds certificates in base64, as the reference does."""
    return base64.b64decode(data, validate=True).decode("ascii") if data else ""


@contextmanager
def _file(path: str, data: str) -> Iterator[str]:
    """A file, "" for none, with what may be given as a path or as data: OpenSSL takes files alone."""
    if path or not data:
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:  # readable by this user alone
        file = Path(directory, "pem")
        file.write_text(_decoded(data), encoding="ascii")
        yield str(file)
