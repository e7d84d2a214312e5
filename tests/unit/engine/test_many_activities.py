"""Activities that were scheduled by the hundred start without the history being read for each."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, Payloads

from services.history.cache import TAIL_BYTES_MAX
from tests.unit.engine.house import SCHEDULE, live, open_store

COUNT = 40


def schedule(number: int) -> Command:
    """An activity whose input makes the batch too large to stay in memory with the run."""
    command = Command()
    command.CopyFrom(SCHEDULE)
    attributes = command.schedule_activity_task_command_attributes
    attributes.activity_id = f"activity-{number}"
    attributes.input.CopyFrom(Payloads(payloads=[Payload(data=b"%d " % number * (TAIL_BYTES_MAX // COUNT))]))
    return command


async def test_their_batch_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(tmp_path / "store.db") as store:
        house = await live(store)
        reads: list[tuple[Any, ...]] = []
        read_history = store.read_history

        async def counted(*arguments: Any) -> Any:
            reads.append(arguments)
            return await read_history(*arguments)

        monkeypatch.setattr(store, "read_history", counted, raising=False)
        await house.begin("workflow")
        await house.answer(await house.task(), *[schedule(number) for number in range(COUNT)])
        await house.signal("workflow", "another batch")
        seen = set()
        for _ in range(COUNT):
            task = await house.activity()
            assert task.input.payloads[0].data.split()[0].decode() == task.activity_id.removeprefix("activity-")
            seen.add(task.activity_id)
        assert len(seen) == COUNT
        assert len(reads) <= 1, "the history is read for each"
