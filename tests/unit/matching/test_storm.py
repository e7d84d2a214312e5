"""Random adders, pollers that come and leave, failures of history and store, restarts: every accepted task arrives."""

import asyncio
import random

import pytest
from temporalio.api.workflowservice import v1 as api

from services.errors import NotFound, Unavailable
from services.matching import MatchingSettings
from services.persistence import StoreError, UnknownOutcome
from services.rpc.clients import AddTaskOutcome
from tests.unit.matching.conftest import Matching

STEPS = 300
SETTINGS = MatchingSettings(
    backlog_read_max=8, backlog_reload_at=3, backlog_append_max=4, acknowledge_after_tasks=5, backlog_negligible_age_s=1
)


@pytest.mark.parametrize("seed", range(20))
async def test_no_task_is_lost(seed: int) -> None:
    dice = random.Random(seed)
    matching = Matching(SETTINGS)
    adds: dict[str, asyncio.Task[AddTaskOutcome]] = {}
    polls: list[asyncio.Task[api.PollWorkflowTaskQueueResponse]] = []
    for step in range(STEPS):
        move = dice.random()
        if move < 0.35:
            adds[f"w{step}"] = matching.add(f"w{step}")
        elif move < 0.65:
            polls.append(matching.poll(wait_s=dice.choice([1.5, 3, 70])))
        elif move < 0.8 and polls:
            dice.choice(polls).cancel()
        elif move < 0.85:
            matching.history.failures.append(dice.choice([Unavailable("later"), RuntimeError("bug")]))
        elif move < 0.9:
            matching.queues.failures.append(dice.choice([StoreError("no"), UnknownOutcome("timeout")]))
        elif move < 0.91:
            drain = asyncio.create_task(matching.service.drain())
            await matching.clock.advance(60)  # the store may fail a few times
            assert drain.done()
            matching.restart()
        for _ in range(dice.choice([0, 0, 1, 2, 5])):
            await asyncio.sleep(0)
        if dice.random() < 0.2:
            await matching.clock.advance(dice.choice([0.01, 0.1, 0.2, 1.0]))
    matching.history.failures.clear()
    matching.queues.failures.clear()
    await matching.clock.advance(10)
    for _ in range(STEPS):
        polls.append(matching.poll(wait_s=3))
        await matching.clock.advance(0.1)
    await matching.clock.advance(100)
    assert all(add.done() for add in adds.values())
    assert all(poll.done() for poll in polls)
    accepted = {name for name, add in adds.items() if not add.exception()}
    assert len(accepted) > STEPS / 10
    assert accepted <= set(matching.history.delivered)
    assert matching.queues.stored() == [], "everything done is forgotten"


async def test_one_obsolete_answer_per_task_does_not_lose_a_wake_up() -> None:
    matching = Matching(SETTINGS)
    matching.history.failures = [NotFound("over")] * 50
    polls = [matching.poll() for _ in range(10)]
    for i in range(60):
        matching.add(f"w{i}")
    await matching.clock.advance(1)
    assert [(await poll).task_token for poll in polls]
    assert len(matching.history.started) == 60
