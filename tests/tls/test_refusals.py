"""What does not fit is refused with its key; what fits is read from files or from the configuration itself."""

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from services.config import TLS, ConfigError, dump, for_start_dev
from services.config.static import ClientTLS, GroupTLS, ServerTLS, SystemWorkerTLS
from services.rpc.certificates import read_server
from services.rpc.tls import Security
from services.runtime import SystemClock
from tests.tls.authority import Authority, pem_of

Change = Callable[[Path, Authority], dict[str, Any]]


@pytest.fixture
def good(tmp_path: Path, authority: Authority) -> ServerTLS:
    """mTLS, with files named server.pem, server.key and ca.pem in the temporary directory."""
    cert, key = authority.issue().write(tmp_path, "server")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.cert)
    return ServerTLS(cert_file=str(cert), key_file=str(key), client_ca_files=(str(ca),), require_client_auth=True)


def _file(directory: Path, content: bytes) -> str:
    path = directory / "changed.pem"
    path.write_bytes(content)
    return str(path)


def _half(directory: Path, name: str) -> str:
    content = (directory / name).read_bytes()
    return _file(directory, content[: len(content) // 2])


SECRET = pem_of(ec.generate_private_key(ec.SECP256R1()), password=b"secret")
SERVER_REFUSALS: dict[str, tuple[Change, str]] = {
    "no such file": (lambda d, a: {"cert_file": f"{d}/none"}, "server.certFile: found {d}/none: No such file"),
    "no certificate": (lambda d, a: {"cert_file": f"{d}/server.key"}, "server.certFile: found {d}/server.key: "),
    "half a certificate": (
        lambda d, a: {"cert_file": _half(d, "server.pem")},
        "server.certFile: found {d}/changed.pem",
    ),
    "a chain cut off": (
        lambda d, a: {"cert_file": _file(d, (d / "server.pem").read_bytes() + a.cert[: len(a.cert) // 2])},
        "server.certFile: found {d}/changed.pem: it ends in the middle of a block",
    ),
    "no key": (lambda d, a: {"key_file": ""}, "server.keyFile: found nothing, expected the key of"),
    "no certificate for a key": (lambda d, a: {"cert_file": ""}, "server.certFile: found nothing, expected a cert"),
    "half a key": (
        lambda d, a: {"key_file": _half(d, "server.key")},
        "server.keyFile: found {d}/changed.pem, something",
    ),
    "another key": (
        lambda d, a: {"key_file": _file(d, a.issue().key)},
        "server.keyFile: found {d}/changed.pem, another key, expected the key of the certificate in {d}/server.pem",
    ),
    "an encrypted key": (
        lambda d, a: {"key_file": _file(d, SECRET)},
        "server.keyFile: found {d}/changed.pem, encrypted",
    ),
    "a kind gRPC has no use for": (
        lambda d, a: {"key_file": _file(d, pem_of(ec.generate_private_key(ec.SECP521R1())))},
        "server.keyFile: found {d}/changed.pem, secp521r1, expected a kind of key that gRPC can use",
    ),
    "file and data": (lambda d, a: {"cert_data": "QQ=="}, "server.certData: found global.tls.frontend.server.certFile"),
    "no base64": (lambda d, a: {"key_file": "", "key_data": "-----BEGIN"}, "server.keyData: found text that is not"),
    "no such authority": (
        lambda d, a: {"client_ca_files": (f"{d}/ca.pem", f"{d}/none")},
        "server.clientCaFiles[1]: found {d}/none: No such file",
    ),
    "nobody to admit": (
        lambda d, a: {"client_ca_files": ()},
        "server.requireClientAuth: found true, expected clientCa",
    ),
    "nothing to show": (
        lambda d, a: {"cert_file": "", "key_file": ""},
        "server.requireClientAuth: found true, expected a certificate and a key",
    ),
}


@pytest.mark.parametrize("name", SERVER_REFUSALS)
def test_a_server_section_that_does_not_fit(name: str, good: ServerTLS, tmp_path: Path, authority: Authority) -> None:
    change, text = SERVER_REFUSALS[name]
    server = replace(good, **change(tmp_path, authority))
    with pytest.raises(ConfigError) as refused:
        Security(TLS(frontend=GroupTLS(server=server)), SystemClock())
    assert str(refused.value).startswith("global.tls.frontend." + text.format(d=tmp_path))


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        (
            TLS(internode=GroupTLS(client=ClientTLS(disable_host_verification=True))),
            "global.tls.internode.client.disableHostVerification: found true, expected false: gRPC for Python",
        ),
        (
            TLS(internode=GroupTLS(client=ClientTLS(root_ca_files=("none.pem",)))),
            "global.tls.internode.client.rootCaFiles[0]: found none.pem: No such file",
        ),
        (
            TLS(internode=GroupTLS(client=ClientTLS(force_tls=True))),
            "global.tls.internode.client: found TLS, expected a certificate in global.tls.internode.server",
        ),
        (
            TLS(system_worker=SystemWorkerTLS(cert_file="none.pem", key_file="none.key")),
            "global.tls.systemWorker.certFile: found none.pem: No such file",
        ),
        (TLS(remote_clusters={"far": GroupTLS()}), "global.tls.remoteClusters: found far, expected none"),
        (
            TLS(frontend=GroupTLS(host_overrides={"a.example": ServerTLS()})),
            "global.tls.frontend.hostOverrides: found a.example, expected a certificate and a key in",
        ),
    ],
)
def test_other_sections_that_do_not_fit(tls: TLS, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Security(tls, SystemClock())
    assert str(refused.value).startswith(text)


def test_data_says_the_same_as_files(good: ServerTLS, tmp_path: Path) -> None:
    cert, key, ca = (
        base64.b64encode((tmp_path / name).read_bytes()).decode() for name in ("server.pem", "server.key", "ca.pem")
    )
    data = ServerTLS(cert_data=cert, key_data=key, client_ca_data=(ca,), require_client_auth=True)
    assert read_server(GroupTLS(server=data), "data") == read_server(GroupTLS(server=good), "files")


OVERRIDE_REFUSALS: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "no certificate": (("a.example",), {"cert_file": "", "key_file": ""}, ".certFile: found nothing"),
    "another name": (("b.example",), {}, ".certFile: found a certificate for other names, expected one with"),
    "other clients": (("a.example",), {"client_ca_files": ()}, ".clientCaFiles: found other authorities"),
    "no clients asked": (("a.example",), {"require_client_auth": False}, ".requireClientAuth: found false"),
}


@pytest.mark.parametrize("name", OVERRIDE_REFUSALS)
def test_an_override_that_grpc_cannot_follow(name: str, good: ServerTLS, tmp_path: Path, authority: Authority) -> None:
    hosts, change, text = OVERRIDE_REFUSALS[name]
    cert, key = authority.issue(hosts=hosts).write(tmp_path, "other")
    override = replace(replace(good, cert_file=str(cert), key_file=str(key)), **change)
    with pytest.raises(ConfigError) as refused:
        Security(TLS(frontend=GroupTLS(server=good, host_overrides={"a.example": override})), SystemClock())
    assert str(refused.value).startswith("global.tls.frontend.hostOverrides.a.example" + text)


def test_an_override_that_would_never_be_shown(good: ServerTLS, tmp_path: Path, authority: Authority) -> None:
    authority.issue(hosts=("*.example",)).write(tmp_path, "server")
    cert, key = authority.issue(hosts=("a.example",)).write(tmp_path, "other")
    override = replace(good, cert_file=str(cert), key_file=str(key))
    with pytest.raises(ConfigError, match="a name that the certificate of server lacks"):
        Security(TLS(frontend=GroupTLS(server=good, host_overrides={"a.example": override})), SystemClock())


def test_a_key_in_the_configuration_is_not_shown() -> None:
    config = for_start_dev()
    server = ServerTLS(cert_data="shown", key_data="hidden")
    shown = dump(replace(config, global_=replace(config.global_, tls=TLS(frontend=GroupTLS(server=server)))))
    assert "shown" in shown
    assert "hidden" not in shown
