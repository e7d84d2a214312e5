"""python -m tests.apps.hello_encrypted.worker --address A --task-queue Q"""

from __future__ import annotations

import asyncio

from tests.apps.hello_encrypted.activities import compose_greeting
from tests.apps.hello_encrypted.codec import ENCRYPTING
from tests.apps.hello_encrypted.workflows import HelloWorkflow
from tests.apps.serving import command_line, connect, poll

WORKFLOWS = [HelloWorkflow]


async def main() -> None:
    options = command_line("Greets, and tells nobody.").parse_args()
    await poll(await connect(options.address, ENCRYPTING), options.task_queue, WORKFLOWS, [compose_greeting])


if __name__ == "__main__":
    asyncio.run(main())
