"""Servers and channels while their files change: handshakes take up what is new, calls under way notice nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from structlog.testing import LogCapture
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice import v1 as api

from services.config import TLS, DynamicConfig
from services.config.static import ClientTLS, ExpirationChecks, GroupTLS, ServerTLS
from services.errors import Unreachable
from services.rpc import HISTORY, HISTORY_SERVICE, Call
from services.rpc.network import ChannelSecurity, Network
from services.rpc.server import InternalServer, served
from services.rpc.tls import CERTIFICATES_EXPIRED, CERTIFICATES_EXPIRING, Security
from services.rpc.wire import Wire
from services.runtime import SystemClock
from tests.processes import free_port
from tests.server.waiting import until
from tests.tls.authority import Authority, Issued, put

WIRE = HISTORY["terminate_workflow_execution"]
LIMIT_S = 10.0


class Host:
    """A history service that answers at once, except for the workflow "held"."""

    def __init__(self) -> None:
        self.came, self.let_go = asyncio.Event(), asyncio.Event()

    async def send(self, _wire: Wire, _call: Call, request: Any) -> None:
        if request.workflow_execution.workflow_id == "held":
            self.came.set()
            await self.let_go.wait()

    @asynccontextmanager
    async def listening(self, security: Security, port: int = 0) -> AsyncIterator[str]:
        server = InternalServer(SystemClock(), DynamicConfig(env={}), "history")
        port = server.listen("127.0.0.1", port, security.internode_server())
        await server.start([HISTORY_SERVICE])
        server.serve(served(HISTORY, HISTORY_SERVICE, self.send))
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)


async def ask(network: Network, address: str, workflow_id: str = "w") -> None:
    execution = WorkflowExecution(workflow_id=workflow_id)
    request = api.TerminateWorkflowExecutionRequest(workflow_execution=execution)
    call = Call(deadline=SystemClock().monotonic() + LIMIT_S)
    await network.to(address, HISTORY_SERVICE)(WIRE, call, request)


def fixed(authorities: bytes, shown: Issued, server_name: str = "") -> Network:
    """Channels that never change their credentials."""
    credentials = grpc.ssl_channel_credentials(authorities, shown.key, shown.cert)
    security = ChannelSecurity(credentials, server_name)
    return Network(SystemClock(), lambda: security)


def mutual(directory: Path, **more: Any) -> TLS:
    """Hosts that show host.pem and believe ca.pem."""
    ca = str(directory / "ca.pem")
    server = ServerTLS(
        cert_file=str(directory / "host.pem"),
        key_file=str(directory / "host.key"),
        client_ca_files=(ca,),
        require_client_auth=True,
    )
    return TLS(internode=GroupTLS(server=server, client=ClientTLS(root_ca_files=(ca,))), **more)


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Path:
    authority.issue().write(tmp_path, "host")
    put(tmp_path / "ca.pem", authority.cert)
    return tmp_path


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[capture])
    monkeypatch.setattr("services.rpc.tls._log", logger)
    return capture


async def test_hosts_change_their_authority_while_they_talk(files: Path, authority: Authority) -> None:
    security, host = Security(mutual(files), SystemClock()), Host()
    network = Network(SystemClock(), security.internode_client)
    answered, enough = asyncio.Semaphore(0), asyncio.Event()

    async def keep_asking(address: str) -> None:
        while not enough.is_set():
            await ask(network, address)
            answered.release()

    async def some_answers() -> None:
        for _ in range(50):
            await answered.acquire()

    successor = Authority()
    async with host.listening(security) as address, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        held = tasks.create_task(ask(network, address, "held"))
        for _ in range(4):
            tasks.create_task(keep_asking(address))
        await host.came.wait()
        put(files / "ca.pem", authority.cert + successor.cert)
        security.reload()
        await some_answers()
        successor.issue().write(files, "host")
        security.reload()
        await some_answers()
        put(files / "ca.pem", successor.cert)
        security.reload()
        await some_answers()
        enough.set()
        assert not held.done()
        host.let_go.set()
        await held
        newcomer = fixed(successor.cert, successor.issue())
        await ask(newcomer, address)
        await newcomer.close()
        for stranger in (fixed(successor.cert, authority.issue()), fixed(authority.cert, successor.issue())):
            with pytest.raises(Unreachable):
                await ask(stranger, address)
            await stranger.close()
        await network.close()


async def test_a_host_that_comes_back_is_met_with_the_new_certificates(files: Path, authority: Authority) -> None:
    security, host, port = Security(mutual(files), SystemClock()), Host(), free_port()
    network, successor = Network(SystemClock(), security.internode_client), Authority()
    async with host.listening(security, port) as address:
        await ask(network, address)
    put(files / "ca.pem", successor.cert)
    successor.issue().write(files, "host")
    security.reload()
    async with host.listening(Security(mutual(files), SystemClock()), port) as address:
        await ask(network, address)
    await network.close()


@pytest.mark.parametrize(
    ("name", "key"), [("host.pem", "certFile"), ("host.key", "keyFile"), ("ca.pem", "clientCaFiles[0]")]
)
async def test_a_file_half_written_changes_nothing(name: str, key: str, files: Path, log: LogCapture) -> None:
    security, host, whole = Security(mutual(files), SystemClock()), Host(), (files / name).read_bytes()
    async with host.listening(security) as address:
        put(files / name, whole[: len(whole) // 2])
        security.reload()
        security.reload()
        network = Network(SystemClock(), security.internode_client)
        await ask(network, address)
        await network.close()
    bad = [entry for entry in log.entries if entry["log_level"] == "error"]
    assert bad[0]["event"] == "Bad new certificates, the old ones stay in use"
    assert bad[0]["problem"].startswith(f"global.tls.internode.server.{key}: found {files / name}")
    assert sorted(entry["group"] for entry in bad) == ["internode.client", "internode.server"], "told once each"


async def test_a_certificate_before_its_key_waits_for_it(files: Path, authority: Authority, log: LogCapture) -> None:
    security, successor, host = Security(mutual(files), SystemClock()), Authority(), Host()
    new = successor.issue()
    async with host.listening(security) as address:
        put(files / "host.pem", new.cert)
        security.reload()
        network = fixed(authority.cert, authority.issue())
        await ask(network, address)
        await network.close()
        put(files / "host.key", new.key)
        security.reload()
        network = fixed(successor.cert, authority.issue())
        await ask(network, address)
        await network.close()
    told = [(entry["group"], entry["log_level"]) for entry in log.entries]
    assert told == [(group, level) for level in ("error", "info") for group in ("internode.server", "internode.client")]


async def test_the_files_are_looked_at_without_being_told(files: Path, log: LogCapture) -> None:
    security = Security(mutual(files, refresh_interval=timedelta(milliseconds=10)), SystemClock())
    before = security.internode_client()

    async def is_new() -> bool:
        return security.internode_client() is not before

    watching = asyncio.create_task(security.watch())
    put(files / "ca.pem", Authority().cert)
    await until(is_new, True)
    watching.cancel()
    assert {entry["event"] for entry in log.entries} == {"Took up new certificates"}


async def test_what_expires_is_told_in_time(tmp_path: Path, authority: Authority, log: LogCapture) -> None:
    valid = {"gone": timedelta(hours=-1), "soon": timedelta(hours=1), "later": timedelta(hours=5)}
    ends = b"".join(authority.issue(name, valid=until).cert for name, until in valid.items())
    put(tmp_path / "ca.pem", ends + authority.cert)
    authority.issue("host").write(tmp_path, "host")
    windows = ExpirationChecks(warning_window=timedelta(hours=10), error_window=timedelta(hours=2))
    Security(mutual(tmp_path, expiration_checks=windows), SystemClock()).check_expiration()
    told = {(entry["subject"], entry["log_level"], entry["event"]) for entry in log.entries}
    assert told == {
        ("CN=gone", "error", "A certificate has expired"),
        ("CN=soon", "error", "A certificate will expire"),
        ("CN=later", "warning", "A certificate will expire"),
    }
    assert len(log.entries) == 3, "once, although a server and a client use it"
    assert (CERTIFICATES_EXPIRED.bind().value, CERTIFICATES_EXPIRING.bind().value) == (1, 2)


async def test_a_host_is_known_by_its_address_or_by_the_name_configured(tmp_path: Path, authority: Authority) -> None:
    authority.issue(hosts=("history.perdure",)).write(tmp_path, "host")
    put(tmp_path / "ca.pem", authority.cert)
    plain = mutual(tmp_path)
    client = ClientTLS(root_ca_files=(str(tmp_path / "ca.pem"),), server_name="history.perdure")
    named = TLS(internode=GroupTLS(server=plain.internode.server, client=client))
    async with Host().listening(Security(plain, SystemClock())) as address:
        network = Network(SystemClock(), Security(named, SystemClock()).internode_client)
        await ask(network, address)
        await network.close()
        network = Network(SystemClock(), Security(plain, SystemClock()).internode_client)
        with pytest.raises(Unreachable):
            await ask(network, address)
        await network.close()


async def test_each_name_has_its_own_certificate(files: Path, authority: Authority) -> None:
    other = Authority("other")
    cert, key = other.issue(hosts=("a.example",)).write(files, "a")
    server = mutual(files).internode.server
    override = ServerTLS(
        cert_file=str(cert), key_file=str(key), client_ca_files=server.client_ca_files, require_client_auth=True
    )
    tls = TLS(internode=GroupTLS(server=server, host_overrides={"a.example": override}))
    shown = authority.issue()
    async with Host().listening(Security(tls, SystemClock())) as address:
        for authorities, name in ((other.cert, "a.example"), (authority.cert, ""), (authority.cert, "localhost")):
            network = fixed(authorities, shown, name)
            await ask(network, address)
            await network.close()
        network = fixed(authority.cert, shown, "a.example")
        with pytest.raises(Unreachable):
            await ask(network, address)
        await network.close()
