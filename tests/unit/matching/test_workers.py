"""Sticky queues, workers that shut down, heartbeats, dispatch rates, and what operators see."""

import pytest
from temporalio.api.enums.v1 import DescribeTaskQueueMode, RateLimitSource, TaskQueueType, WorkerStatus
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.worker.v1 import WorkerHeartbeat
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument, NotFound, Unimplemented
from services.rpc.clients import AddTaskOutcome
from tests.unit.matching.conftest import ACTIVITY, NAMESPACE_ID, STICKY, WORKFLOW, Matching, settle

GONE = AddTaskOutcome.STICKY_WORKER_UNAVAILABLE


async def test_a_sticky_queue_lives_as_long_as_its_worker_polls(matching: Matching) -> None:
    assert await matching.add("w1", "sticky", kind=STICKY) is GONE
    poll = matching.poll("sticky", kind=STICKY, wait_s=31)
    await matching.clock.advance(25)
    assert await matching.add("w1", "sticky", kind=STICKY) is AddTaskOutcome.MATCHED
    await poll
    await matching.clock.advance(10)
    add = matching.add("w2", "sticky", kind=STICKY)
    await matching.clock.advance(0.2)
    assert await add is AddTaskOutcome.STORED
    assert await matching.add("w3", "sticky", kind=STICKY) is GONE


async def test_a_worker_that_shuts_down_ends_its_polls_and_its_sticky_queue(matching: Matching) -> None:
    sticky = matching.poll("sticky", kind=STICKY)
    mine, other = matching.poll(worker="key-1"), matching.poll(worker="key-2")
    await settle()
    await shut_down(matching)
    assert not (await sticky).task_token
    assert not (await mine).task_token
    assert not other.done()
    assert await matching.add("w1", "sticky", kind=STICKY) is GONE
    assert not (await matching.poll(worker="key-1")).task_token, "a poll that was on its way ends, too"
    other.cancel()


async def test_a_task_that_waits_for_a_worker_that_shuts_down(matching: Matching) -> None:
    poll = matching.poll("sticky", kind=STICKY)
    await settle()
    await matching.add("w1", "sticky", kind=STICKY)
    await poll
    add = matching.add("w2", "sticky", kind=STICKY)
    await settle()
    await shut_down(matching)
    assert await add is GONE


async def shut_down(matching: Matching) -> None:
    await matching.service.shutdown_worker(
        matching.call(),
        api.ShutdownWorkerRequest(sticky_task_queue="sticky", worker_instance_key="key-1", task_queue="q"),
    )


async def test_pollers_set_the_dispatch_rate(matching: Matching) -> None:
    polls = [matching.poll_activity(rate=2) for _ in range(4)]
    await settle()
    adds = [matching.add(f"a{i}", type_=ACTIVITY) for i in range(4)]
    await matching.clock.advance(0)
    assert [poll.done() for poll in polls] == [True, True, False, False]
    await matching.clock.advance(0.5)
    assert [poll.done() for poll in polls] == [True, True, True, False]
    await matching.clock.advance(0.5)
    assert [(await poll).task_token for poll in polls] == [b"a0", b"a1", b"a2", b"a3"]
    assert [(await add).value for add in adds] == ["matched", "matched", "stored", "stored"]


async def test_a_higher_rate_does_not_wait_for_a_token_of_the_lower_one(matching: Matching) -> None:
    polls = [matching.poll_activity(rate=0.001) for _ in range(2)]
    for i in range(2):
        matching.add(f"a{i}", type_=ACTIVITY)
    await matching.clock.advance(1)
    assert [poll.done() for poll in polls] == [True, False]
    third = matching.poll_activity(rate=10)
    await matching.clock.advance(0.1)
    assert polls[1].done()
    third.cancel()


async def test_rate_zero_stops_dispatch_until_a_poller_says_otherwise(matching: Matching) -> None:
    stopped = matching.poll_activity(rate=0, wait_s=11)
    matching.add("a1", type_=ACTIVITY)
    await matching.clock.advance(9)
    assert not stopped.done()
    assert (await describe(matching, ACTIVITY)).pollers[0].rate_per_second == 0
    free = matching.poll_activity()
    await matching.clock.advance(1)
    assert (await stopped).task_token == b"a1"
    free.cancel()


async def describe(
    matching: Matching, type_: TaskQueueType.ValueType = WORKFLOW, *, report_stats: bool = True
) -> api.DescribeTaskQueueResponse:
    request = api.DescribeTaskQueueRequest(
        task_queue=TaskQueue(name="q"), include_task_queue_status=True, report_stats=report_stats
    )
    request.task_queue_type = type_
    return await matching.service.describe_task_queue(matching.call(), request)


async def test_describe_counts_what_an_earlier_life_left(matching: Matching) -> None:
    for i in range(3):
        matching.add(f"w{i}")
    await matching.clock.advance(0.25)
    matching.restart()
    await matching.clock.advance(9.75)
    shown = await describe(matching)
    assert shown.task_queue_status.backlog_count_hint == 3
    assert shown.stats.approximate_backlog_count == 3
    assert shown.stats.approximate_backlog_age.ToSeconds() == 10
    assert shown.stats_by_priority_key[3] == shown.stats
    assert shown.effective_rate_limit.requests_per_second == 4000
    assert shown.effective_rate_limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_SYSTEM
    assert shown.versioning_info.current_version == "__unversioned__"


async def test_describe_shows_rates_and_pollers_of_the_last_minutes(matching: Matching) -> None:
    for i in range(10):
        poll = matching.poll(identity=f"worker-{i % 2}")
        await settle()
        await matching.add(f"w{i}")
        await poll
        await matching.clock.advance(1)
    shown = await describe(matching)
    assert [p.identity for p in shown.pollers] == ["worker-1", "worker-0"]
    assert shown.pollers[0].last_access_time.ToNanoseconds() == matching.clock.now_ns() - 10**9
    assert shown.stats.tasks_add_rate == pytest.approx(1)
    assert shown.stats.tasks_dispatch_rate == pytest.approx(1)
    await matching.clock.advance(301)
    shown = await describe(matching)
    assert not shown.pollers
    assert shown.stats.tasks_add_rate == 0


async def test_describe_in_the_old_enhanced_mode_is_refused(matching: Matching) -> None:
    enhanced = DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
    request = api.DescribeTaskQueueRequest(task_queue=TaskQueue(name="q"), api_mode=enhanced)
    with pytest.raises(Unimplemented):
        await matching.service.describe_task_queue(matching.call(), request)


async def test_poll_answers_hint_at_the_backlog_and_at_pollers_to_add_or_drop(matching: Matching) -> None:
    quick = matching.poll()
    await settle()
    await matching.add("w0")
    assert not (await quick).HasField("poller_scaling_decision")
    patient = matching.poll()
    await matching.clock.advance(1)
    await matching.add("w1")
    assert (await patient).poller_scaling_decision.poll_request_delta_suggestion == -1
    for i in (2, 3):
        matching.add(f"w{i}")
    await matching.clock.advance(0.5)
    behind = await matching.poll()
    assert behind.backlog_count_hint == 2
    assert behind.poller_scaling_decision.poll_request_delta_suggestion == 1


async def heartbeat(
    matching: Matching, *keys: str, status: WorkerStatus.ValueType = WorkerStatus.WORKER_STATUS_RUNNING
) -> None:
    request = api.RecordWorkerHeartbeatRequest(
        worker_heartbeat=[
            WorkerHeartbeat(worker_instance_key=key, task_queue=f"tq-{key}", sdk_name="py", status=status)
            for key in keys
        ]
    )
    await matching.service.record_worker_heartbeat(matching.call(), request)


async def listed(matching: Matching, query: str = "", token: bytes = b"", page_size: int = 0) -> tuple[str, bytes]:
    request = api.ListWorkersRequest(query=query, next_page_token=token, page_size=page_size)
    reply = await matching.service.list_workers(matching.call(), request)
    assert [w.worker_heartbeat.worker_instance_key for w in reply.workers_info] == [
        w.worker_instance_key for w in reply.workers
    ]
    return "".join(w.worker_instance_key for w in reply.workers), reply.next_page_token


async def test_workers_are_listed_while_their_hearts_beat(matching: Matching) -> None:
    await heartbeat(matching, "c", "a", "b")
    assert await listed(matching) == ("abc", b"")
    assert await listed(matching, page_size=2) == ("ab", b'{"l":"b"}')
    assert await listed(matching, token=b'{"l":"b"}') == ("c", b"")
    assert await listed(matching, "TaskQueue = 'tq-b' AND Status='Running'") == ("b", b"")
    assert await listed(matching, "Unknown='b'") == ("", b"")
    await matching.clock.advance(200)
    await heartbeat(matching, "a")
    await heartbeat(matching, "b", status=WorkerStatus.WORKER_STATUS_SHUTDOWN)
    assert await listed(matching) == ("ac", b"")
    await matching.clock.advance(200)
    assert await listed(matching) == ("a", b"")


@pytest.mark.parametrize(("query", "token"), [("bad bad", b""), ("TaskQueue > 'a'", b""), ("", b"junk"), ("", b"[]")])
async def test_bad_worker_queries_are_refused(matching: Matching, query: str, token: bytes) -> None:
    with pytest.raises(InvalidArgument):
        await listed(matching, query, token)


async def test_a_worker_is_described_by_its_heartbeat(matching: Matching) -> None:
    await heartbeat(matching, "a")
    described = await matching.service.describe_worker(
        matching.call(), api.DescribeWorkerRequest(worker_instance_key="a")
    )
    assert described.worker_info.worker_heartbeat.task_queue == "tq-a"
    with pytest.raises(NotFound, match="Worker b not found"):
        await matching.service.describe_worker(matching.call(), api.DescribeWorkerRequest(worker_instance_key="b"))
    assert matching.call().namespace_id == NAMESPACE_ID
