"""What memory keeps of workflows: few, but whatever is in use, and one entry for each."""

import gc

from services.history.cache import LOOKED_AT, WorkflowCache

MANY = 10 * LOOKED_AT


def test_one_who_works_with_a_forgotten_workflow_works_with_the_same_as_all_others() -> None:
    """Of two entries one would not hear of what was committed by way of the other."""
    cache = WorkflowCache(LOOKED_AT, shard_count=4)
    held = cache.get("n", "held")
    for number in range(MANY):
        cache.get("n", str(number))
    assert cache.get("n", "held") is held


def test_a_forgotten_workflow_that_is_worked_with_is_told_that_its_shard_has_gone() -> None:
    cache = WorkflowCache(LOOKED_AT, shard_count=4)
    held = cache.get("n", "held")
    for number in range(MANY):
        cache.get("n", str(number))
    assert any(entry is held for entry in cache.entries())


def test_what_nobody_works_with_is_forgotten() -> None:
    cache = WorkflowCache(LOOKED_AT, shard_count=4)
    for number in range(MANY):
        cache.get("n", str(number))
    gc.collect()
    assert len(cache) == len(cache.entries()) == LOOKED_AT


def test_workflows_in_use_do_not_keep_others_in_memory() -> None:
    cache = WorkflowCache(2 * LOOKED_AT, shard_count=4)
    used = [cache.get("n", f"used-{number}") for number in range(LOOKED_AT)]
    for entry in used:
        entry.lock.users = 1
    for number in range(MANY):
        cache.get("n", str(number))
    assert len(cache) == 2 * LOOKED_AT
    assert all(cache.get(entry.namespace_id, entry.workflow_id) is entry for entry in used)
