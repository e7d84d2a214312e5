"""The SDK's own local test environment starts the server as it starts the official one, and stops it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.apps.hello_encrypted.activities import compose_greeting
from tests.apps.hello_encrypted.codec import ENCRYPTING
from tests.apps.hello_encrypted.workflows import HelloWorkflow
from tests.processes import server_executable

CUSTOMER = SearchAttributeKey.for_keyword("Customer")


async def test_start_local(tmp_path: Path) -> None:
    environment = await WorkflowEnvironment.start_local(
        namespace="tests",
        data_converter=ENCRYPTING,
        dev_server_existing_path=str(server_executable()),
        dev_server_database_filename=str(tmp_path / "server.db"),
        dev_server_log_level="error",
        search_attributes=[CUSTOMER],
    )
    with ThreadPoolExecutor(4) as executor:
        async with (
            environment as environment,
            Worker(
                environment.client,
                task_queue="hello",
                workflows=[HelloWorkflow],
                activities=[compose_greeting],
                activity_executor=executor,
            ),
        ):
            handle = await environment.client.start_workflow(
                HelloWorkflow.run,
                "Ada",
                id="hello",
                task_queue="hello",
                search_attributes=TypedSearchAttributes([SearchAttributePair(CUSTOMER, "ada")]),
            )
            await handle.signal(HelloWorkflow.call_me, "Countess")
            assert await handle.result() == "Hello, Countess Ada!"
            described = await handle.describe()
            assert described.namespace == "tests"
            assert described.typed_search_attributes[CUSTOMER] == "ada"
