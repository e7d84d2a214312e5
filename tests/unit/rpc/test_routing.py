"""A call finds its owner: by the ring, by hints, after a while; and is repeated only when that does no harm."""

from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.workflowservice import v1 as api

from services.errors import DeadlineExceeded, NotFound, OwnershipLost, Unavailable, Unreachable
from services.protos.matching_pb2 import UnloadRequest
from services.rpc import HISTORY, MATCHING, Call, Router, Wire, history_keys, matching_keys, shard_id_of
from services.rpc.routing import PATIENCE_S
from services.runtime import TimerHandle

START, COMPLETED = HISTORY["start_workflow_execution"], HISTORY["respond_activity_task_completed"]
REQUEST = api.StartWorkflowExecutionRequest(workflow_id="w")
REPORT = api.RespondActivityTaskCompletedRequest()


class Clock:
    """Sleeping is what moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def now_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        raise NotImplementedError

    async def sleep(self, delay_s: float) -> None:
        self.now += delay_s


class Cluster:
    """Hosts that answer as they are told: by address, what each next call gets. `asked` tells who was."""

    def __init__(self, owner: str = "a", **answers: list[object]) -> None:
        self.clock = Clock()
        self.ring_owner = owner
        self.keys: list[str] = []
        self.asked: list[str] = []
        self.answers = answers
        self.router = Router(self, history_keys(8), self.connect, self.clock)

    def owner(self, key: str) -> str:
        self.keys.append(key)
        return self.ring_owner

    def everyone(self) -> tuple[str, ...]:
        return ("a", "b", "c")

    def connect(self, address: str) -> Any:
        async def send(_wire: Wire, _call: Call, _request: object) -> object:
            self.asked.append(address)
            answers = self.answers[address]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return send

    async def send(self, wire: Wire = START, request: object = REQUEST, deadline: float | None = None) -> object:
        return await self.router.send(wire, Call(namespace_id="n", deadline=deadline), request)


async def test_the_owner_of_the_workflows_shard_is_asked() -> None:
    cluster = Cluster(a=["done"])
    assert await cluster.send() == "done"
    assert cluster.keys == [str(shard_id_of("n", "w", 8))]


async def test_a_hint_is_followed_at_once() -> None:
    cluster = Cluster(a=[OwnershipLost("moved", "b")], b=["done"])
    assert await cluster.send() == "done"
    assert (cluster.asked, cluster.clock.now) == (["a", "b"], 100.0)


async def test_hints_that_go_in_circles_end_with_patience() -> None:
    cluster = Cluster(a=[OwnershipLost("moved", "b")], b=[OwnershipLost("moved", "a")])
    with pytest.raises(Unavailable) as refused:
        await cluster.send()
    assert not isinstance(refused.value, OwnershipLost)  # history must not point its callers at a matching host
    assert PATIENCE_S - 1 < cluster.clock.now - 100.0 <= PATIENCE_S
    assert len(cluster.asked) < 50


async def test_a_host_that_points_at_itself_is_asked_again_after_a_pause() -> None:
    cluster = Cluster(a=[OwnershipLost("not yet", "a"), "done"])
    assert await cluster.send() == "done"
    assert cluster.clock.now > 100.0


async def test_what_may_have_been_done_is_repeated_only_if_that_does_no_more() -> None:
    lost = Unreachable("reset", sent=True)
    cluster = Cluster(a=[lost, "done"])
    assert await cluster.send(START) == "done"
    cluster = Cluster(a=[lost, "done"])
    with pytest.raises(Unreachable):
        await cluster.send(COMPLETED, REPORT)
    assert cluster.asked == ["a"]


async def test_what_never_left_is_always_repeated() -> None:
    cluster = Cluster(a=[Unreachable("refused", sent=False), "done"])
    assert await cluster.send(COMPLETED, REPORT) == "done"


@pytest.mark.parametrize("error", [NotFound("no such workflow"), Unavailable("the store does not answer")])
async def test_an_answer_is_an_answer(error: Exception) -> None:
    cluster = Cluster(a=[error, "done"])
    with pytest.raises(type(error)):
        await cluster.send()
    assert cluster.asked == ["a"]


async def test_the_search_for_an_owner_ends_before_the_deadline() -> None:
    cluster = Cluster(owner="", a=["done"])
    with pytest.raises(Unavailable, match="no host of the service"):
        await cluster.send(deadline=101.0)
    assert cluster.clock.now < 101.0


async def test_an_owner_that_appears_meanwhile_is_found() -> None:
    cluster = Cluster(owner="a", a=[Unreachable("refused", sent=False)], b=["done"])
    slept = cluster.clock.sleep

    async def sleep(delay_s: float) -> None:
        await slept(delay_s)
        cluster.ring_owner = "b" if cluster.clock.now > 105.0 else "a"

    cluster.clock.sleep = sleep  # type: ignore[method-assign]  # the ring changes while the call waits
    assert await cluster.send() == "done"


async def test_everyone_is_told_and_who_is_gone_does_not_matter() -> None:
    cluster = Cluster(a=[None], b=[Unreachable("refused", sent=False)], c=[DeadlineExceeded("it is frozen")])
    router = Router(cluster, matching_keys, cluster.connect, cluster.clock)
    await router.send(MATCHING["unload"], Call(), UnloadRequest(namespace_id="n"))
    assert sorted(cluster.asked) == ["a", "b", "c"]
