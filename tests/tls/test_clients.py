"""Official clients against `perdure server start` over TLS and mTLS, while certificates are fine, wrong, and change."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.server.waiting import until
from tests.tls import clients
from tests.tls.authority import Authority, put
from tests.tls.serving import Credentials, TLSServer

EVENTS = 2  # of a workflow nobody works on: started, and a task scheduled
OFFICIAL = [clients.python, clients.command_line, clients.typescript]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TLSServer]:
    with TLSServer(tmp_path_factory.mktemp("tls"), authority, mutual=False) as server:
        yield server


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TLSServer]:
    with TLSServer(tmp_path_factory.mktemp("mutual"), authority, mutual=True) as server:
        yield server


@pytest.mark.parametrize("use", OFFICIAL)
async def test_official_clients_over_tls(use: clients.Use, tls: TLSServer) -> None:
    assert await use(tls, tls.known) == EVENTS


@pytest.mark.parametrize("use", OFFICIAL)
async def test_official_clients_with_certificates(use: clients.Use, mutual: TLSServer) -> None:
    assert await use(mutual, mutual.known) == EVENTS


@pytest.mark.parametrize("use", OFFICIAL)
async def test_official_clients_that_do_not_know_the_authority(use: clients.Use, tls: TLSServer) -> None:
    with pytest.raises(clients.Refused):
        await use(tls, tls.credentials("suspicious", None, Authority().cert))


@pytest.mark.parametrize("use", OFFICIAL)
async def test_official_clients_without_a_certificate(use: clients.Use, mutual: TLSServer) -> None:
    with pytest.raises(clients.Refused):
        await use(mutual, mutual.credentials("nobody", None))


def test_a_wrong_certificate_gets_nothing(mutual: TLSServer, authority: Authority) -> None:
    shown = {
        "stranger": Authority().issue(),
        "expired": authority.issue(valid=timedelta(hours=-1)),
        "none": None,
    }
    assert mutual.is_serving(mutual.known.grpc)
    for name, certificate in shown.items():
        assert not mutual.is_serving(mutual.credentials(name, certificate).grpc), name


def test_plain_text_gets_nothing(tls: TLSServer, mutual: TLSServer) -> None:
    assert not tls.is_serving(None)
    assert not mutual.is_serving(None)


async def test_certificates_and_authorities_change_under_load(tmp_path: Path, authority: Authority) -> None:
    """Clients of both authorities keep working all the time: long-lived ones, and ones that connect anew."""
    successor = Authority()
    with TLSServer(tmp_path, authority, mutual=True) as server:
        both = authority.cert + successor.cert
        old = server.credentials("old", authority.issue(), both)
        new = server.credentials("new", successor.issue(), both)
        assert not server.is_serving(new.grpc)
        async with asyncio.timeout(60), asyncio.TaskGroup() as load:
            calls = load.create_task(_keep_calling(await clients.connect(server, old)))
            connections = load.create_task(_keep_connecting(server, old))
            put(tmp_path / "clients.pem", both)
            await until(lambda: asyncio.to_thread(server.is_serving, new.grpc), True)
            successor.issue("server").write(tmp_path, "server")
            believer = server.credentials("believer", successor.issue(), successor.cert)
            await until(lambda: asyncio.to_thread(server.is_serving, believer.grpc), True)
            new_calls = load.create_task(_keep_calling(await clients.connect(server, new)))
            connections.cancel()  # they show the old authority's certificate, and that goes now
            put(tmp_path / "clients.pem", successor.cert)
            await until(lambda: asyncio.to_thread(server.is_serving, old.grpc), False)
            await clients.python(server, believer)
            assert not calls.done()
            assert not new_calls.done()
            calls.cancel()
            new_calls.cancel()


async def _keep_calling(client: Client) -> None:
    while True:
        await client.count_workflows()


async def _keep_connecting(server: TLSServer, credentials: Credentials) -> None:
    while True:
        assert await asyncio.to_thread(server.is_serving, credentials.grpc)
