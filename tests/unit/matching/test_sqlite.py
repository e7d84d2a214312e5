"""Matching on the real store and the real clock: a backlog outlives the process."""

from pathlib import Path
from typing import cast

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as api

from services.matching import MatchingService, MatchingSettings
from services.persistence.sqlite import open_sqlite
from services.protos.matching_pb2 import AddTaskRequest, QueuedTask
from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, HistoryClient
from services.runtime import SystemChance, SystemClock
from tests.unit.matching.conftest import NAMESPACE_ID, NORMAL, WORKFLOW, FakeHistory

TASKS = 25
SETTINGS = MatchingSettings(sync_match_wait_s_max=0, backlog_read_max=10, backlog_reload_at=4)


async def test_a_backlog_outlives_the_process(tmp_path: Path) -> None:
    call, names = Call(namespace_id=NAMESPACE_ID), [f"w{i:02}" for i in range(TASKS)]
    store = await open_sqlite(str(tmp_path / "perdure.db"))
    matching = MatchingService(store, cast(HistoryClient, FakeHistory()), SystemClock(), SystemChance(), SETTINGS)
    for name in names:
        request = AddTaskRequest(task_queue_type=WORKFLOW, task_queue="q", task_queue_kind=NORMAL)
        request.task.CopyFrom(QueuedTask(namespace_id=NAMESPACE_ID, workflow_id=name))
        assert await matching.add_task(call, request) is AddTaskOutcome.STORED
    await store.close()

    store = await open_sqlite(str(tmp_path / "perdure.db"))
    history = FakeHistory()
    matching = MatchingService(store, cast(HistoryClient, history), SystemClock(), SystemChance(), SETTINGS)
    poll = api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name="q"))
    for _ in names:
        assert await matching.poll_workflow_task_queue(call, poll)
    assert history.delivered == names
    await matching.drain()
    await store.close()

    store = await open_sqlite(str(tmp_path / "perdure.db"))
    matching = MatchingService(store, cast(HistoryClient, history), SystemClock(), SystemChance(), SETTINGS)
    describe = api.DescribeTaskQueueRequest(task_queue=TaskQueue(name="q"), report_stats=True)
    assert (await matching.describe_task_queue(call, describe)).stats.approximate_backlog_count == 0
    await matching.drain()
    await store.close()
