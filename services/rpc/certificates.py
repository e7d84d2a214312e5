"""Certificates and keys as `global.tls` names them: read from files, or from the configuration itself, and checked.

Whatever does not fit is a ConfigError with the key that named it. The material of keys is in no text.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from services.config import ConfigError
from services.config.static import ClientTLS, GroupTLS, ServerTLS, SystemWorkerTLS

CURVES = ("secp256r1", "secp384r1")

Certificates = tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, with the chain it came with, and its private key."""

    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    certificates: Certificates = field(compare=False)


@dataclass(frozen=True, slots=True)
class Authorities:
    """Whose certificates are believed. Without any, those that gRPC itself brings."""

    pem: bytes | None = field(default=None, repr=False)
    certificates: Certificates = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ServerSide:
    """What a server shows, the first pair unless a client asks for a name of another, and whose clients it admits."""

    pairs: tuple[Pair, ...]
    clients: Authorities
    require_client_auth: bool

    @property
    def certificates(self) -> Certificates:
        return *(one for pair in self.pairs for one in pair.certificates), *self.clients.certificates


@dataclass(frozen=True, slots=True)
class ClientSide:
    """What a client shows when it is asked, whom it believes, and the name it expects if not the address."""

    pair: Pair | None
    servers: Authorities
    server_name: str

    @property
    def certificates(self) -> Certificates:
        return *(self.pair.certificates if self.pair else ()), *self.servers.certificates


class _Given(NamedTuple):
    key: str  # that of the configuration
    name: str
    content: bytes


def read_server(group: GroupTLS, path: str) -> ServerSide | None:
    """None when the group names no certificate for its servers, and nothing else that would need one."""
    server = group.server
    pair, clients = read_pair(server, f"{path}.server"), _client_authorities(server, f"{path}.server")
    if pair is None:
        for key, wanted in _needing_a_pair(group):
            if wanted:
                raise ConfigError(f"{path}.{key}", wanted, f"a certificate and a key in {path}.server beside it")
        return None
    if server.require_client_auth and clients.pem is None:
        raise ConfigError(f"{path}.server.requireClientAuth", "true", "clientCaFiles or clientCaData beside it")
    others = tuple(_overrides(group, pair, path))
    return ServerSide(pairs=(pair, *others), clients=clients, require_client_auth=server.require_client_auth)


def read_client(client: ClientTLS, pair: Pair | None, path: str) -> ClientSide:
    if client.disable_host_verification:
        expected = "false: gRPC for Python always verifies; serverName is the name to expect instead of the address"
        raise ConfigError(f"{path}.disableHostVerification", "true", expected)
    servers = _authorities(client.root_ca_files, client.root_ca_data, f"{path}.rootCa")
    return ClientSide(pair=pair, servers=servers, server_name=client.server_name)


def read_pair(section: ServerTLS | SystemWorkerTLS, path: str) -> Pair | None:
    """None when the section names none."""
    cert = _either(section.cert_file, section.cert_data, f"{path}.cert")
    key = _either(section.key_file, section.key_data, f"{path}.key")
    if cert is None and key is None:
        return None
    if cert is None:
        raise ConfigError(f"{path}.certFile", "nothing", f"a certificate, since {path} names a key")
    if key is None:
        raise ConfigError(f"{path}.keyFile", "nothing", f"the key of the certificate that {path} names")
    certificates = _certificates(cert)
    private = _private_key(key)
    if _public_key(certificates[0], cert) != private.public_key():
        raise ConfigError(key.key, f"{key.name}, another key", f"the key of the certificate in {cert.name}")
    return Pair(chain=cert.content, key=key.content, certificates=certificates)


def names_host(certificate: x509.Certificate, host: str) -> bool:
    """Whether a certificate is one for `host`, as gRPC compares: one label may be a star."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    asked = host.lower()
    starred = "*." + asked.partition(".")[2]
    return any(name.lower() in (asked, starred) for name in alternatives.get_values_for_type(x509.DNSName))


def _needing_a_pair(group: GroupTLS) -> Iterator[tuple[str, str]]:
    server = group.server
    yield "server.requireClientAuth", "true" if server.require_client_auth else ""
    yield "server.clientCaFiles", ", ".join(server.client_ca_files)
    yield "server.clientCaData", "certificates" if server.client_ca_data else ""
    yield "hostOverrides", ", ".join(group.host_overrides)


def _overrides(group: GroupTLS, default: Pair, path: str) -> Iterator[Pair]:
    """gRPC chooses by the names in the certificates, and admits the same clients under every name."""
    server, named = group.server, [("server", default)]
    for host, override in group.host_overrides.items():
        key = f"{path}.hostOverrides.{host}"
        pair = read_pair(override, key)
        if pair is None:
            raise ConfigError(f"{key}.certFile", "nothing", "a certificate and its key")
        if not names_host(pair.certificates[0], host):
            raise ConfigError(f"{key}.certFile", "a certificate for other names", f"one with the DNS name {host}")
        for other, taken in named:
            if names_host(taken.certificates[0], host):
                expected = f"a name that the certificate of {other} lacks: the first that has it is shown"
                raise ConfigError(key, host, expected)
        if override.require_client_auth != server.require_client_auth:
            raise ConfigError(f"{key}.requireClientAuth", str(override.require_client_auth).lower(), _AS_SERVER)
        if (override.client_ca_files, override.client_ca_data) != (server.client_ca_files, server.client_ca_data):
            raise ConfigError(f"{key}.clientCaFiles", "other authorities", _AS_SERVER)
        named.append((f"hostOverrides.{host}", pair))
        yield pair


_AS_SERVER = "the same as in server: gRPC for Python admits the same clients under every name"


def _client_authorities(server: ServerTLS, path: str) -> Authorities:
    return _authorities(server.client_ca_files, server.client_ca_data, f"{path}.clientCa")


def _authorities(files: tuple[str, ...], data: tuple[str, ...], path: str) -> Authorities:
    given = [
        *(_file(f"{path}Files[{number}]", file) for number, file in enumerate(files)),
        *(_data(f"{path}Data[{number}]", text) for number, text in enumerate(data)),
    ]
    if not given:
        return Authorities()
    certificates = tuple(certificate for one in given for certificate in _certificates(one))
    return Authorities(pem=b"\n".join(one.content for one in given), certificates=certificates)


def _either(file: str, data: str, path: str) -> _Given | None:
    if file and data:
        raise ConfigError(f"{path}Data", f"{path}File too", "one of the two")
    if file:
        return _file(f"{path}File", file)
    return _data(f"{path}Data", data) if data else None


def _file(key: str, path: str) -> _Given:
    try:
        return _Given(key, path, Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(key, f"{path}: {error.strerror}", "a readable PEM file") from None


def _data(key: str, text: str) -> _Given:
    try:
        return _Given(key, key, base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ConfigError(key, f"text that is not base64: {error}", "a PEM file, in base64") from None


def _certificates(given: _Given) -> Certificates:
    """At least one. A file that ends in the middle of a certificate is refused as a whole."""
    try:
        if given.content.count(b"-----BEGIN ") != given.content.count(b"-----END "):
            raise ValueError("it ends in the middle of a block")
        certificates = tuple(x509.load_pem_x509_certificates(given.content))
        for certificate in certificates:
            certificate.subject.rfc4514_string()  # what is never read is never checked
        return certificates
    except ValueError as error:
        raise ConfigError(given.key, f"{given.name}: {error}", "certificates in PEM") from None


def _public_key(certificate: x509.Certificate, given: _Given) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(given.key, f"{given.name}: {error}", "a certificate of a known kind of key") from None


def _private_key(given: _Given) -> PrivateKeyTypes:
    try:
        key = serialization.load_pem_private_key(given.content, password=None)
    except TypeError:
        raise ConfigError(given.key, f"{given.name}, encrypted", "a private key without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(given.key, f"{given.name}, something else", "a private key in PEM") from None
    # gRPC would take some others, and then no handshake with them succeeds.
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else ""
    if not isinstance(key, rsa.RSAPrivateKey) and curve not in CURVES:
        expected = "a kind of key that gRPC can use: RSA, or ECDSA on P-256 or P-384"
        raise ConfigError(given.key, f"{given.name}, {curve or type(key).__name__}", expected)
    return key
