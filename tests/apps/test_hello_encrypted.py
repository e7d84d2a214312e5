"""An encrypting codec: what it encrypts is nowhere on the server, not in a history and not in its data file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from temporalio.client import Client

from tests.apps.drivers import HelloDriver
from tests.apps.hello_encrypted.codec import ENCRYPTING
from tests.apps.hello_encrypted.workflows import HelloWorkflow
from tests.apps.histories import family
from tests.apps.recorder import TASK_TIMEOUT
from tests.apps.stage import staged
from tests.processes import Server

NAME = "Rumpelstiltskin"
TITLE = "Straw-to-gold-spinner"
MEMO = "guess-if-you-can"
OPEN = "nobody-encrypts-this"


async def test_server_holds_only_ciphertext(server: Server, tmp_path: Path) -> None:
    async with staged(HelloDriver, server, tmp_path) as (driver, recorder):
        client = recorder.client
        handle = await client.start_workflow(
            HelloWorkflow.run, NAME, id="secret", task_queue=driver.name, task_timeout=TASK_TIMEOUT, memo={"hint": MEMO}
        )
        await handle.signal(HelloWorkflow.call_me, TITLE)
        assert await handle.result() == f"Hello, {TITLE} {NAME}!"
        assert await handle.query(HelloWorkflow.title) == TITLE
        assert await (await handle.describe()).memo() == {"hint": MEMO}

        [history] = await family(client, "secret")
        stored = b"".join(event.SerializeToString() for event in history.events)
        await _start_unencrypted(server)

    server.kill()  # so that its files are all there is
    stored += _files_of(server)
    for secret in (NAME, TITLE, MEMO, "could not say", "compose_greeting failed"):
        assert secret.encode() not in stored
    assert b"binary/encrypted" in stored
    assert OPEN.encode() in stored, "the data file hides even what is not encrypted: this test would see no leak"


async def test_reader_without_the_key_sees_ciphertext(server: Server, tmp_path: Path) -> None:
    async with staged(HelloDriver, server, tmp_path) as (driver, recorder):
        await driver.run_one(recorder, 1)
        stranger = await Client.connect(server.address)
        described = await stranger.get_workflow_handle("hello-1").describe()
        assert described.id == "hello-1"
        history = await stranger.get_workflow_handle("hello-1").fetch_history()
        payload = history.events[0].workflow_execution_started_event_attributes.input.payloads[0]
        assert payload.metadata["encoding"] == b"binary/encrypted"
        [decrypted] = await ENCRYPTING.payload_codec.decode([payload]) if ENCRYPTING.payload_codec else [payload]
        assert decrypted.data == b'"Guest 1"'


async def test_many_at_once(server: Server, tmp_path: Path) -> None:
    async with staged(HelloDriver, server, tmp_path) as (driver, recorder):
        await asyncio.gather(*(driver.run_one(recorder, number) for number in range(20)))


async def _start_unencrypted(server: Server) -> None:
    """The control: a plain text that must be found in the data file."""
    client = await Client.connect(server.address)
    await client.start_workflow("Nobody", OPEN, id="open", task_queue="nobody-polls-here")


def _files_of(server: Server) -> bytes:
    """The data file and whatever lies beside it, such as its write-ahead log."""
    return b"".join(path.read_bytes() for path in server.database.parent.glob(f"{server.database.name}*"))
