"""The official clients over TLS: each starts a workflow and tells how many events it has. None gets past a wrong
certificate, and then tells nothing."""

import asyncio
import hashlib
import json
import shutil
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from temporalio.client import Client, TLSConfig

from tests.processes import BIN, REPOSITORY
from tests.tls.serving import Credentials, TLSServer

TYPESCRIPT = Path(__file__).parent / "typescript"
LIMIT_S = 60.0

Use = Callable[[TLSServer, Credentials], Awaitable[int]]


class Refused(Exception):
    """The client says that it could not do it; the text is its own."""


async def connect(server: TLSServer, credentials: Credentials) -> Client:
    """The Python SDK. RuntimeError when the server does not let it in."""
    cert = credentials.cert.read_bytes() if credentials.cert else None
    key = credentials.key.read_bytes() if credentials.key else None
    tls = TLSConfig(server_root_ca_cert=credentials.ca.read_bytes(), client_cert=cert, client_private_key=key)
    return await Client.connect(server.address, tls=tls)


async def python(server: TLSServer, credentials: Credentials) -> int:
    try:
        client = await connect(server, credentials)
    except RuntimeError as error:
        raise Refused(str(error)) from error
    handle = await client.start_workflow("greet", id=str(uuid.uuid4()), task_queue="nobody")
    return len((await handle.fetch_history()).events)


async def command_line(server: TLSServer, credentials: Credentials) -> int:
    flags = ["--address", server.address, "--tls-ca-path", str(credentials.ca), "--output", "json"]
    if credentials.cert and credentials.key:
        flags += ["--tls-cert-path", str(credentials.cert), "--tls-key-path", str(credentials.key)]
    flags += ["--command-timeout", "5s"]
    temporal, workflow_id = str(BIN / "temporal"), str(uuid.uuid4())
    named = ["--type", "greet", "--task-queue", "nobody", "--workflow-id", workflow_id]
    await _run(temporal, "workflow", "start", *named, *flags)
    shown = json.loads(await _run(temporal, "workflow", "show", "--workflow-id", workflow_id, *flags))
    return len(shown["events"])


async def typescript(server: TLSServer, credentials: Credentials) -> int:
    given = {
        "modules": str(await _typescript_modules()),
        "address": server.address,
        "ca": str(credentials.ca),
        "cert": str(credentials.cert) if credentials.cert else None,
        "key": str(credentials.key) if credentials.key else None,
        "workflowId": str(uuid.uuid4()),
    }
    return len(json.loads(await _run("node", str(TYPESCRIPT / "client.mjs"), json.dumps(given))))


async def _typescript_modules() -> Path:
    """A directory with the locked packages; they are fetched when it is not there yet."""
    lock = TYPESCRIPT / "package-lock.json"
    place = REPOSITORY / ".cache" / f"typescript-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not place.exists():
        unfinished = place.with_suffix(".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(TYPESCRIPT / name, unfinished)
        await _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(unfinished))
        unfinished.rename(place)
    return place


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    if process.returncode:
        raise Refused(errors.decode())
    return output.decode()
