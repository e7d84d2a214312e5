"""The official CLI, run as users run it."""

import asyncio
import json
from typing import Any

from tests.parts.deployed import Serving
from tests.processes import BIN


async def cli_fails(server: Serving, *arguments: str) -> str:
    """What a command that fails complains of."""
    code, _, errors = await _run(server, *arguments)
    assert code != 0, f"temporal {' '.join(arguments)} did not fail"
    return errors


async def cli(server: Serving, *arguments: str) -> str:
    """A command's output; fails with what it complains of."""
    code, output, errors = await _run(server, *arguments)
    assert code == 0, f"temporal {' '.join(arguments)}: {errors}"
    return output


async def cli_json(server: Serving, *arguments: str) -> Any:
    """A command's output in its JSON form."""
    output = await cli(server, *arguments, "--output", "json")
    assert output, f"temporal {' '.join(arguments)} says nothing"
    return json.loads(output)


async def _run(server: Serving, *arguments: str) -> tuple[int | None, str, str]:
    command = (str(BIN / "temporal"), *arguments, "--address", server.address, "--command-timeout", "20s")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()
