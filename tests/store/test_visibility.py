"""The contract of VisibilityStore: versions, order, pages, and what each operator of the filter finds."""

import asyncio
from dataclasses import replace

import pytest

from services.persistence import InvalidQuery, Store
from tests.store.builders import NAMESPACE, TYPES, visible

JAN = 1_704_067_200  # 2024-01-01T00:00:00Z


async def listed(store: Store, query: str = "") -> list[str]:
    records, token = await store.list_visibility(NAMESPACE, query, TYPES, 1000, b"")
    assert token == b""
    return [record.workflow_id for record in records]


async def test_a_record_reads_back_as_it_was_written(store: Store) -> None:
    record = replace(
        visible("wf", start=5, close=9, List=["a", "b"], Story="it's", Number=5, Double=0.5, Flag=True, Time=6),
        parent_workflow_id="parent",
        parent_run_id="parent run",
        root_workflow_id="root",
        root_run_id="root run",
        history_bytes=12,
        state_transitions=13,
    )
    await store.upsert_visibility([record])
    records, token = await store.list_visibility(NAMESPACE, "", TYPES, 10, b"")
    assert (list(records), token) == ([record], b"")
    assert await store.list_visibility("other", "", TYPES, 10, b"") == ([], b"")


async def test_an_older_version_never_replaces_a_newer_one(store: Store) -> None:
    newer, older = visible("wf", version=7, close=20), visible("wf", version=3)
    await store.upsert_visibility([newer])
    await store.upsert_visibility([older])
    assert (await store.list_visibility(NAMESPACE, "", TYPES, 10, b""))[0] == [newer]
    newest = visible("wf", version=8, close=30)
    await asyncio.gather(store.upsert_visibility([newest, older]), store.upsert_visibility([newer]))
    assert (await store.list_visibility(NAMESPACE, "", TYPES, 10, b""))[0] == [newest]


async def test_a_deleted_record_is_gone(store: Store) -> None:
    await store.upsert_visibility([visible("a"), visible("b")])
    await store.delete_visibility(NAMESPACE, "run of a")
    await store.delete_visibility(NAMESPACE, "never there")
    assert await listed(store) == ["b"]


async def test_open_runs_first_then_the_last_closed_each_the_last_started_first_in_pages(store: Store) -> None:
    expected = [
        visible("open, young", start=9),
        visible("open, old, 1", start=1),
        visible("open, old, 2", start=1),
        visible("closed late, young", start=8, close=20),
        visible("closed late, old", start=2, close=20),
        visible("closed early", start=7, close=10),
    ]
    await store.upsert_visibility(expected[::-1])
    for page_size in range(1, 8):
        found, token = await store.list_visibility(NAMESPACE, "", TYPES, page_size, b"")
        pages = [found]
        while token:
            found, token = await store.list_visibility(NAMESPACE, "", TYPES, page_size, token)
            pages.append(found)
        assert [record for page in pages for record in page] == expected
        assert len(pages) == -(-len(expected) // page_size)


async def test_a_page_goes_on_where_the_last_one_ended_whatever_came_meanwhile(store: Store) -> None:
    await store.upsert_visibility([visible(f"wf {n}", start=n) for n in range(1, 7)])
    first, token = await store.list_visibility(NAMESPACE, "", TYPES, 3, b"")
    await store.upsert_visibility([visible("newcomer", start=99)])
    await store.delete_visibility(NAMESPACE, first[-1].run_id)
    rest, token = await store.list_visibility(NAMESPACE, "", TYPES, 3, token)
    assert [record.workflow_id for record in rest] == ["wf 3", "wf 2", "wf 1"]
    assert token == b""


async def test_a_bad_page_token_is_refused(store: Store) -> None:
    for token in (b"x", b"{}", b"[1]", b"\xff"):
        with pytest.raises(InvalidQuery):
            await store.list_visibility(NAMESPACE, "", TYPES, 3, token)


FILTERS = {
    "": "abcd",
    "WorkflowId = 'a'": "a",
    'WorkflowId = "a"': "a",
    "`WorkflowId` = 'a'": "a",
    "WorkflowId != 'a'": "bcd",
    "WorkflowId <> 'a'": "bcd",
    "WorkflowId > 'b'": "cd",
    "WorkflowId >= 'b' and WorkflowId <= 'c'": "bc",
    "WorkflowId IN ('a', 'c', 'x')": "ac",
    "WorkflowId not in ('a', 'c')": "bd",
    "WorkflowId BETWEEN 'b' AND 'c'": "bc",
    "WorkflowId NOT BETWEEN 'b' AND 'c' AND WorkflowId != 'd'": "a",
    "WorkflowId = 'a' OR WorkflowId = 'b' AND RunId = 'x'": "a",
    "(WorkflowId = 'a' OR WorkflowId = 'b') AND RunId = 'run of b'": "b",
    "NOT (WorkflowId = 'a' OR WorkflowId = 'b')": "cd",
    "NOT WorkflowId = 'a' AND WorkflowId < 'c'": "b",
    "WorkflowType STARTS_WITH 'Tran'": "abcd",
    "WorkflowType NOT STARTS_WITH 'Tran'": "",
    "RunId STARTS_WITH 'run of c'": "c",
    "TaskQueue = 'queue'": "abcd",
    "ScheduleId = 'a'": "a",
    "ExecutionStatus = 'Running'": "ab",
    "ExecutionStatus = 2": "cd",
    "ExecutionStatus IN ('Completed', 'TimedOut')": "cd",
    "CloseTime IS NULL": "ab",
    "CloseTime IS NOT NULL": "cd",
    "CloseTime > '2024-01-01T00:02:00Z'": "d",
    "NOT CloseTime > '2024-01-01T00:02:00Z'": "c",
    "StartTime = '2024-01-01T00:00:02Z'": "b",
    "StartTime >= '2024-01-01T01:00:02.000000000+01:00'": "bcd",
    "StartTime < 1704067202000000000": "a",
    "StartTime BETWEEN '2024-01-01T00:00:01Z' AND '2024-01-01T00:00:02.5Z'": "ab",
    "ExecutionDuration > '1m30s'": "d",
    "ExecutionDuration < '00:01:30'": "c",
    "ExecutionDuration < 60000000001": "c",
    "HistoryLength > 10": "cd",
    "HistoryLength IS NULL": "ab",
    "ParentWorkflowId IS NULL": "abcd",
    "RootWorkflowId IS NOT NULL": "",
    "TemporalWorkflowId = 'a'": "a",
    "Word = 'it''s'": "a",
    r"Word = 'it\'s'": "a",
    "Word != 'x'": "ab",
    "Word STARTS_WITH 'it'": "ab",
    "Word NOT STARTS_WITH 'it\\''": "b",
    "NOT Word = 'it'": "a",
    "Word IS NULL": "cd",
    "Word IN ('it', 'x')": "b",
    "Word NOT IN ('it', 'x')": "a",
    "`my-attr` IS NULL": "abcd",
    "ScheduledById = 'x'": "",
    "Story = 'fox'": "a",
    "Story = 'FOX lazy'": "ab",
    "Story = 'qui'": "",
    "Story = 'lazy-dog'": "b",
    "Story = 'dog-lazy'": "",
    "Story = '!'": "",
    "Story != '!'": "abcd",
    "Story != 'fox'": "bcd",
    "NOT Story = 'fox'": "bcd",
    "Story IS NULL": "cd",
    "Number = 5": "a",
    "Number = 5.0": "a",
    "Number != 5": "b",
    "Number > -6": "ab",
    "Number BETWEEN -5 AND 4.5": "b",
    "Number NOT BETWEEN -5 AND 4.5": "a",
    "Number < 99999999999999999999": "ab",
    "Double = 0.5": "a",
    "Double > 1": "b",
    "Flag = true": "a",
    "Flag = false": "b",
    "Flag != true": "b",
    "Flag > false": "a",
    "List = 'x'": "ab",
    "List = 'y'": "a",
    "List != 'y'": "bcd",
    "NOT List = 'y'": "bcd",
    "List IN ('y', 'z')": "ab",
    "List NOT IN ('z')": "acd",
    "List IS NOT NULL": "ab",
    "Time = '2024-01-01T00:00:00Z'": "a",
    "Time = '2024-01-01T01:00:00.000+01:00'": "a",
    "Time = 1704067200000000000": "a",
    "Time != '2024-01-01T00:00:00Z'": "b",
    "Time > '2024-01-01T00:00:00Z'": "b",
    "Time < '2024-01-01T00:00:00.51Z'": "ab",
}


@pytest.mark.parametrize(("query", "expected"), FILTERS.items())
async def test_filters(store: Store, query: str, expected: str) -> None:
    await store.upsert_visibility(
        [
            visible(
                "a",
                start=JAN + 1,
                Word="it's",
                Story="The quick brown Fox",
                Number=5,
                Double=0.5,
                Flag=True,
                List=["x", "y"],
                Time=JAN * 10**9,
            ),
            visible(
                "b",
                start=JAN + 2,
                Word="it",
                Story="the lazy-dog O'Brien",
                Double=2,
                Number=-5,
                Flag=False,
                List=["x", "z"],
                Time=JAN * 10**9 + 500_000_000,
            ),
            visible("c", start=JAN + 3, close=JAN + 63),
            visible("d", start=JAN + 4, close=JAN + 184),
        ]
    )
    assert "".join(sorted(await listed(store, query))) == expected
    assert await store.count_visibility(NAMESPACE, query, TYPES) == [((), len(expected))]


async def test_pages_of_a_filtered_list(store: Store) -> None:
    await store.upsert_visibility([visible(f"wf {n}", start=n, Flag=n % 2 == 0) for n in range(10)])
    first, token = await store.list_visibility(NAMESPACE, "Flag = true OR WorkflowId = 'wf 1'", TYPES, 4, b"")
    rest, end = await store.list_visibility(NAMESPACE, "Flag = true OR WorkflowId = 'wf 1'", TYPES, 4, token)
    assert [record.workflow_id for record in [*first, *rest]] == ["wf 8", "wf 6", "wf 4", "wf 2", "wf 1", "wf 0"]
    assert end == b""


async def test_counts_by_status(store: Store) -> None:
    await store.upsert_visibility([visible("a"), visible("b"), visible("c", close=5)])
    groups = await store.count_visibility(NAMESPACE, "GROUP BY ExecutionStatus", TYPES)
    assert sorted((list(values), count) for values, count in groups) == [(["Completed"], 1), (["Running"], 2)]
    some = await store.count_visibility(NAMESPACE, "WorkflowId = 'c' GROUP BY ExecutionStatus", TYPES)
    assert [(list(values), count) for values, count in some] == [(["Completed"], 1)]
    assert await store.count_visibility(NAMESPACE, "WorkflowId = 'x' GROUP BY ExecutionStatus", TYPES) == []
    assert sorted(await listed(store, "GROUP BY ExecutionStatus")) == ["a", "b", "c"]


async def test_a_paused_run_is_open(store: Store) -> None:
    await store.upsert_visibility([visible("a"), visible("b"), visible("c", close=5)])
    await store.upsert_visibility([replace(visible("a", version=2), status=8)])
    assert await listed(store, "ExecutionStatus = 'Paused'") == ["a"]
    assert await listed(store, "ExecutionStatus = 'Running'") == ["b"]
    assert await listed(store, "ExecutionStatus = 'Completed'") == ["c"]


async def test_a_bad_filter_is_refused(store: Store) -> None:
    expected = r"^invalid query: malformed SQL query: syntax error at position 40$"
    with pytest.raises(InvalidQuery, match=expected):
        await store.list_visibility(NAMESPACE, "WorkflowId =", TYPES, 10, b"")
    with pytest.raises(InvalidQuery, match=expected):
        await store.count_visibility(NAMESPACE, "WorkflowId =", TYPES)
