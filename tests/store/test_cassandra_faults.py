"""A node that is killed, that does not answer, and that asks who we are."""

import asyncio
import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.config import Cassandra as Section
from services.config.stores import StoreTLS
from services.persistence import Outcome, Store, StoreError, StoreUnavailable, TaskCategory, UnknownOutcome
from services.persistence.cassandra import CassandraSchema, open_cassandra
from tests.parts.cassandra import Cassandra
from tests.store.builders import NAMESPACE, batch_of, current_of, start_of
from tests.store.cassandra import CassandraBackend, section_of
from tests.tls.authority import Authority, Issued

EVER = 2**62
SHARDS = 4
COMMITTERS = 12
COMMITS_BEFORE_KILL = 150
NODE_BACK_S_MAX = 60.0


async def is_whole(store: Store, number: int) -> bool:
    """Whether a commit is there. Fails when only a part of it is."""
    shard_id, run_id, workflow_id = number % SHARDS, f"run {number}", f"wf {number}"
    run = await store.read_run(shard_id, NAMESPACE, workflow_id, run_id)
    history = await store.read_history(shard_id, run_id, 1, EVER, 10)
    current = await store.read_current(shard_id, NAMESPACE, workflow_id)
    tasks = await store.read_tasks(shard_id, TaskCategory.IMMEDIATE, (0, number - 1), 1, 1)
    there = bool(tasks) and tasks[0].task_id == number
    if run is None:
        assert (history, current, there) == ([], None, False)
        return False
    assert (len(run.items), history, current, there) == (1, [batch_of(run_id, 1, 3)], current_of(run_id), True)
    return True


async def acquired_again(store: Store) -> None:
    """The session finds the node by itself when it is back."""
    async with asyncio.timeout(NODE_BACK_S_MAX):
        for shard_id in range(SHARDS):
            while True:
                try:
                    await store.acquire_shard(shard_id, "after")
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.1)


async def test_kill_9_of_the_node_loses_nothing_acknowledged(cassandra: Cassandra) -> None:
    store = await CassandraBackend(cassandra).open()
    shards = [await store.acquire_shard(shard_id, "host") for shard_id in range(SHARDS)]
    results: dict[int, Outcome | Exception] = {}
    numbers = itertools.count(1)
    enough = asyncio.Event()

    async def commit_until_it_fails() -> None:
        for number in numbers:
            fenced = number % 10 == 9
            shard = shards[number % SHARDS]
            commit = start_of(replace(shard, range_id=99) if fenced else shard, f"wf {number}", f"run {number}", number)
            try:
                results[number] = await store.commit(commit)
            except (StoreError, UnknownOutcome) as error:
                results[number] = error
                return
            if len(results) == COMMITS_BEFORE_KILL:
                enough.set()

    writing = [asyncio.ensure_future(commit_until_it_fails()) for _ in range(COMMITTERS)]
    await enough.wait()
    await asyncio.to_thread(cassandra.kill)
    await asyncio.gather(*writing)
    with pytest.raises(StoreUnavailable):
        await store.read_current(0, NAMESPACE, "wf 4")
    await asyncio.to_thread(cassandra.start)
    await acquired_again(store)
    assert any(isinstance(result, UnknownOutcome) for result in results.values())
    for number, result in results.items():
        whole = await is_whole(store, number)
        if not isinstance(result, UnknownOutcome):
            assert whole is (result is Outcome.COMMITTED), (number, result)
    await store.close()


async def test_what_arrives_after_its_sender_gave_up_is_fenced_or_whole(cassandra: Cassandra) -> None:
    """The node hears of commits, an owner gives up, and the next one takes over before the node wakes."""
    backend = CassandraBackend(cassandra)
    store, other = await backend.open(), await backend.open()
    old = await store.acquire_shard(1, "host")
    with backend.commits_fail():
        late = [store.commit(start_of(old, f"wf {number}", f"run {number}", number)) for number in (1, 5, 9)]
        results = await asyncio.gather(*late, return_exceptions=True)
        assert [type(result) for result in results] == [UnknownOutcome] * 3
        taking = asyncio.ensure_future(other.acquire_shard(1, "other"))
    new = await taking
    assert new.range_id == old.range_id + 1
    after = [await is_whole(other, number) for number in (1, 5, 9)]
    assert await store.commit(start_of(old, "wf 13", "run 13", 13)) is Outcome.FENCED
    assert await other.commit(start_of(new, "wf 17", "run 17", 17)) is Outcome.COMMITTED
    assert [await is_whole(other, number) for number in (1, 5, 9)] == after
    await store.close()
    await other.close()


# Passwords and certificates


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Cassandra]:
    """A node that wants TLS and a password, and has the certificate of another address."""
    directory = tmp_path_factory.mktemp("guarded")
    store = key_store(directory, authority.issue("cassandra", ["database.example"]))
    settings = directory / "guarded.yaml"
    settings.write_text(
        "authenticator: {class_name: PasswordAuthenticator}\n"
        "client_encryption_options:\n"
        f"  {{enabled: true, keystore: {store}, keystore_password: password, store_type: PKCS12}}\n"
    )
    with Cassandra(directory, options={"EXTRA_YAML": str(settings)}) as node:
        yield node


def key_store(directory: Path, issued: Issued) -> Path:
    cert, key = issued.write(directory, "node")
    store = directory / "node.p12"
    command = [
        "openssl",
        "pkcs12",
        "-export",
        "-in",
        str(cert),
        "-inkey",
        str(key),
        "-out",
        str(store),
        "-passout",
        "pass:password",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return store


@pytest.fixture
def section(guarded: Cassandra, authority: Authority, tmp_path: Path) -> Section:
    """One that fits."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.cert)
    tls = StoreTLS(enabled=True, ca_file=str(ca_file), enable_host_verification=True, server_name="database.example")
    return replace(
        section_of(guarded), user="cassandra", password="cassandra", tls=tls, connect_timeout=timedelta(seconds=2)
    )


async def test_a_node_that_knows_us_and_that_we_know(section: Section) -> None:
    async with asyncio.timeout(NODE_BACK_S_MAX):
        while True:
            try:
                await CassandraSchema(section).setup()
                break
            except StoreError:  # the node makes its first user some time after it began to listen
                await asyncio.sleep(0.2)
    store = await open_cassandra(section)
    shard = await store.acquire_shard(1, "host")
    assert await store.commit(start_of(shard, "wf", "run", 1)) is Outcome.COMMITTED
    await store.close()


async def test_a_wrong_password_is_refused(section: Section) -> None:
    with pytest.raises(StoreError, match="the user or the password is refused") as refused:
        await open_cassandra(replace(section, password="wrong"))
    assert not isinstance(refused.value, StoreUnavailable)


async def test_no_password_is_refused(section: Section) -> None:
    with pytest.raises(StoreError, match="the user or the password is refused"):
        await open_cassandra(replace(section, user="", password=""))


async def test_a_node_whose_authority_we_do_not_trust_is_refused(section: Section, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(Authority("other").cert)
    assert section.tls is not None
    tls = replace(section.tls, ca_file=str(tmp_path / "other.pem"))
    with pytest.raises(StoreError, match=r"tls: .*certificate verify failed") as refused:
        await open_cassandra(replace(section, tls=tls))
    assert not isinstance(refused.value, StoreUnavailable)


async def test_a_node_of_another_name_is_refused(section: Section) -> None:
    assert section.tls is not None
    with pytest.raises(StoreError, match=r"tls: .*certificate is not valid for '127\.0\.0\.1'"):
        await open_cassandra(replace(section, tls=replace(section.tls, server_name="")))


async def test_a_node_that_wants_tls_does_not_talk_without(section: Section) -> None:
    with pytest.raises(StoreError):
        await open_cassandra(replace(section, tls=None))
