"""Who may be a member: a name and a password, certificates, and what those without them get."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.config import ConfigError, ZooKeeper, ZooKeeperTLS
from services.membership import ZooKeeperMembership
from services.runtime import SystemChance, SystemClock
from tests.membership.conftest import TICK_MS
from tests.membership.watching import section, watched
from tests.parts.zookeeper import ZooKeeper as Node
from tests.processes import free_port

REFUSED_S = 2.0


async def assert_kept_out(settings: ZooKeeper) -> None:
    membership = ZooKeeperMembership(settings, SystemClock(), SystemChance())
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(membership.start(), REFUSED_S)
    finally:
        await membership.close()


async def test_with_a_password_only_those_who_know_it_see_the_members(settings: ZooKeeper) -> None:
    known = replace(settings, user="perdure", password="geheim")
    async with watched(known, "h1:1") as one, watched(known, "h2:1") as two:
        await one.until_states(h1="active", h2="active")
        await two.until_states(h1="active", h2="active")
        await assert_kept_out(replace(known, password="falsch"))
        await assert_kept_out(settings)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ZooKeeperTLS:
    """One certificate, signed by itself, that both sides show and trust."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zookeeper")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    builder = builder.add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True)
    signed = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "certificate.pem").write_bytes(signed)
    (folder / "key.pem").write_bytes(private)
    (folder / "both.pem").write_bytes(private + signed)
    shown = str(folder / "certificate.pem")
    return ZooKeeperTLS(enabled=True, ca_file=shown, cert_file=shown, key_file=str(folder / "key.pem"))


@pytest.fixture
def secured(tmp_path: Path, certificate: ZooKeeperTLS) -> Iterator[str]:
    """The address at which a node speaks TLS, and wants a certificate."""
    port, folder = free_port(), Path(certificate.ca_file).parent
    extra = (
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
        f"secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n"
        f"ssl.keyStore.location={folder / 'both.pem'}\nssl.keyStore.type=PEM\n"
        f"ssl.trustStore.location={certificate.ca_file}\nssl.trustStore.type=PEM\n"
    )
    with Node(tmp_path, tick_ms=TICK_MS, extra=extra):
        yield f"127.0.0.1:{port}"


async def test_over_tls_only_those_with_a_certificate_get_through(secured: str, certificate: ZooKeeperTLS) -> None:
    settings = replace(section(secured, "/test"), tls=certificate)
    async with watched(settings, "h1:1") as one, watched(settings, "h2:1") as two:
        await one.until_states(h1="active", h2="active")
        await two.until_states(h1="active", h2="active")
        await assert_kept_out(replace(settings, tls=replace(certificate, cert_file="", key_file="")))
        await assert_kept_out(replace(settings, tls=replace(certificate, ca_file="")))
        await assert_kept_out(replace(settings, tls=ZooKeeperTLS()))


@pytest.mark.parametrize("key", ["caFile", "certFile"])
def test_a_certificate_that_cannot_be_used_is_refused_at_once(certificate: ZooKeeperTLS, key: str) -> None:
    no_authority, no_match = replace(certificate, ca_file="/none"), replace(certificate, cert_file=certificate.key_file)
    settings = replace(section("z:1", "/test"), tls=no_authority if key == "caFile" else no_match)
    with pytest.raises(ConfigError, match=rf"global\.membership\.zookeeper\.tls\.{key}: found .*, expected PEM files"):
        ZooKeeperMembership(settings, SystemClock(), SystemChance())
