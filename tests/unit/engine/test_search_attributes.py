"""Search attributes that another host has just added."""

from pathlib import Path

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import CommandType, IndexedValueType

from services.config import DynamicConfig
from services.namespaces import NamespaceRegistry
from services.runtime import SystemChance, SystemClock
from tests.unit.engine.house import START_CHILD, live, open_store

GREEN = SearchAttributes(
    indexed_fields={"Shade": Payload(metadata={"encoding": b"json/plain"}, data=b'"green"')},
)


def upsert() -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
    command.upsert_workflow_search_attributes_command_attributes.search_attributes.CopyFrom(GREEN)
    return command


def child() -> Command:
    command = Command()
    command.CopyFrom(START_CHILD)
    command.start_child_workflow_execution_command_attributes.search_attributes.CopyFrom(GREEN)
    return command


def continue_as_new() -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION)
    command.continue_as_new_workflow_execution_command_attributes.workflow_type.name = "Workflow"
    command.continue_as_new_workflow_execution_command_attributes.search_attributes.CopyFrom(GREEN)
    return command


@pytest.mark.parametrize("command", [upsert(), child(), continue_as_new()], ids=["upsert", "child", "continue"])
async def test_a_command_may_set_them(tmp_path: Path, command: Command) -> None:
    async with open_store(tmp_path / "data.db") as store:
        house = await live(store)
        elsewhere = NamespaceRegistry(store, SystemClock(), SystemChance(), DynamicConfig())
        await elsewhere.load()
        await elsewhere.add_search_attributes("default", {"Shade": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD})
        await house.begin("w")
        await house.answer(await house.task(), command)  # INVALID_ARGUMENT if it is not known
