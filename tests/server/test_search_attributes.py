"""Custom search attributes from end to end: made by flag and CLI, set by starts, upserted by workflows, listed by."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.parts.deployed import Serving, deployed
from tests.server.cli import cli, cli_json
from tests.server.waiting import until

SHADE = SearchAttributeKey.for_keyword("Shade")
STORY = SearchAttributeKey.for_text("Story")
WEIGHT = SearchAttributeKey.for_int("Weight")
RATIO = SearchAttributeKey.for_float("Ratio")
READY = SearchAttributeKey.for_bool("Ready")
DUE = SearchAttributeKey.for_datetime("Due")
TAGS = SearchAttributeKey.for_keyword_list("Tags")
BY_FLAG = {"Shade": "Keyword", "Story": "Text", "Weight": "Int", "Ratio": "Double"}
BY_CLI = {"Ready": "Bool", "Due": "Datetime", "Tags": "KeywordList"}
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@workflow.defn
class Painter:
    """Is what it was started as until it is told to change."""

    def __init__(self) -> None:
        self._done = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._done)

    @workflow.update
    async def repaint(self) -> None:
        workflow.upsert_search_attributes(
            [SHADE.value_set("blue"), WEIGHT.value_set(8), TAGS.value_set(["late"]), STORY.value_unset()]
        )

    @workflow.signal
    def finish(self) -> None:
        self._done = True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with deployed(tmp_path_factory.mktemp("attributes"), search_attributes=BY_FLAG) as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> Client:
    """A client of a server that has all the attributes; creating one again changes nothing."""
    for name, kind in BY_CLI.items():
        await cli(server, "operator", "search-attribute", "create", "--name", name, "--type", kind)
    return await Client.connect(server.address)


async def found(client: Client, workflow_id: str, query: str) -> bool:
    """Whether the filter finds the workflow."""
    return (await client.count_workflows(f"WorkflowId = '{workflow_id}' AND ({query})")).count == 1


FINDS = [
    "Shade = 'green'",
    "Shade IN ('red', 'green')",
    "Shade STARTS_WITH 'gr'",
    "Story = 'FOX'",
    "Weight > 4 AND Weight <= 5",
    "Ratio BETWEEN 0.25 AND 0.75",
    "Ready = true",
    "Due = '2024-01-01T13:00:00+01:00'",
    "Due < '2024-01-01T12:00:00.5Z'",
    "Tags = 'b'",
    "Tags NOT IN ('c')",
    "ExecutionStatus = 'Running' AND Shade != 'red'",
]
DOES_NOT_FIND = [
    "Shade = 'gre'",
    "Story = 'qui'",
    "Story != 'fox'",
    "Weight > 5",
    "Ready = false",
    "Due > '2024-01-01T12:00:00Z'",
    "Tags != 'b'",
    "Shade IS NULL",
]


async def test_a_workflow_is_found_by_what_it_was_started_with_and_by_what_it_upserts(client: Client) -> None:
    workflow_id = str(uuid.uuid4())
    attributes = TypedSearchAttributes(
        [
            SearchAttributePair(SHADE, "green"),
            SearchAttributePair(STORY, "The quick brown fox"),
            SearchAttributePair(WEIGHT, 5),
            SearchAttributePair(RATIO, 0.5),
            SearchAttributePair(READY, True),
            SearchAttributePair(DUE, NOON),
            SearchAttributePair(TAGS, ["a", "b"]),
        ]
    )
    worker = Worker(client, task_queue="paint", workflows=[Painter], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        handle = await client.start_workflow(
            Painter.run, id=workflow_id, task_queue="paint", search_attributes=attributes
        )
        for query in FINDS:
            await until(partial(found, client, workflow_id, query), True)
        for query in DOES_NOT_FIND:
            assert not await found(client, workflow_id, query), query
        (listed,) = [each async for each in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
        # The server adds BuildIds.
        assert all(pair in listed.typed_search_attributes.search_attributes for pair in attributes)

        await handle.execute_update(Painter.repaint)
        await until(lambda: found(client, workflow_id, "Shade = 'blue' AND Weight = 8 AND Tags = 'late'"), True)
        for query in ("Shade = 'green'", "Weight = 5", "Tags = 'a'", "Story IS NOT NULL", "Ready IS NULL"):
            assert not await found(client, workflow_id, query), query
        described = await handle.describe()
        assert described.typed_search_attributes[SHADE] == "blue"
        assert described.typed_search_attributes.get(STORY) is None

        await handle.signal(Painter.finish)
        await handle.result()
        await until(lambda: found(client, workflow_id, "ExecutionStatus = 'Completed' AND Shade = 'blue'"), True)
        by_list = [each.id async for each in client.list_workflows("Tags = 'late' AND Shade = 'blue'")]
        assert by_list == [workflow_id]


async def test_the_cli_lists_attributes_and_removes_them(server: Serving, client: Client) -> None:
    await cli(server, "operator", "search-attribute", "create", "--name", "Passing", "--type", "Keyword")
    listed = await cli_json(server, "operator", "search-attribute", "list")
    assert {**BY_FLAG, **BY_CLI, "Passing": "Keyword"}.items() <= as_types(listed).items()
    await cli(server, "operator", "search-attribute", "remove", "--name", "Passing", "--yes")
    listed = await cli_json(server, "operator", "search-attribute", "list")
    assert "Passing" not in as_types(listed)
    with pytest.raises(RPCError, match=r"^invalid query: invalid search attribute: Passing$"):
        await client.count_workflows("Passing = 'x'")


def as_types(listed: dict[str, dict[str, str]]) -> dict[str, str]:
    """Name to type as the flags write them: INDEXED_VALUE_TYPE_KEYWORD_LIST is KeywordList."""
    named = listed["customAttributes"].items()
    return {
        name: "".join(part.title() for part in kind.removeprefix("INDEXED_VALUE_TYPE_").split("_"))
        for name, kind in named
    }


async def test_attributes_that_cannot_be_set_are_refused(client: Client) -> None:
    unknown = SearchAttributePair(SearchAttributeKey.for_keyword("Unheard"), "x")
    wrong = SearchAttributePair(SearchAttributeKey.for_keyword("Weight"), "heavy")
    texts = {
        unknown: "Namespace default has no mapping defined for search attribute Unheard",
        wrong: "invalid value for search attribute Weight of type Int: heavy",
    }
    for pair, text in texts.items():
        with pytest.raises(RPCError, match=f"^{text}$") as refused:
            await client.start_workflow(
                "Nobody", id=str(uuid.uuid4()), task_queue="idle", search_attributes=TypedSearchAttributes([pair])
            )
        assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_attributes_outlive_the_server(server: Serving, client: Client) -> None:
    workflow_id = str(uuid.uuid4())
    attributes = TypedSearchAttributes([SearchAttributePair(TAGS, ["kept"])])
    await client.start_workflow("Nobody", id=workflow_id, task_queue="idle", search_attributes=attributes)
    server.kill()
    server.start()
    again = await Client.connect(server.address)
    await until(lambda: found(again, workflow_id, "Tags = 'kept'"), True)
