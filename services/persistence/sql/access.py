"""Where a database server is and how to be let in."""

import asyncio
from asyncio.subprocess import PIPE

from services.config import SQL
from services.persistence.interface import StoreError


def address_of(config: SQL, port_if_absent: int) -> tuple[str, int]:
    """The host, in brackets or not, and the port of connectAddr. Raises StoreError."""
    host, separator, port = config.connect_addr.rpartition(":")
    if not separator or port.endswith("]"):
        host, port = config.connect_addr, str(port_if_absent)
    if not port.isdigit():
        raise StoreError(f"connectAddr {config.connect_addr!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def password_of(config: SQL) -> str:
    """The password, asked of passwordCommand for each connection: what it prints may expire. Raises StoreError."""
    if config.password_command is None:
        return config.password
    command = config.password_command
    try:
        process = await asyncio.create_subprocess_exec(command.command, *command.args, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise StoreError(f"passwordCommand {command.command}: {error.strerror}") from error
    try:
        async with asyncio.timeout(command.timeout.total_seconds()):
            printed, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise StoreError(f"passwordCommand {command.command} took longer than {command.timeout}") from None
    if process.returncode:
        shown = complaint.decode(errors="replace").strip()
        raise StoreError(f"passwordCommand {command.command} ended with {process.returncode}: {shown}")
    return printed.decode().strip()
