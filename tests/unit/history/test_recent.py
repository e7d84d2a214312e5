"""Single events are found in batches of many, and batches are kept within a limit."""

import pytest
from temporalio.api.history.v1 import History, HistoryEvent

from services.history.core.decision import Batch
from services.history.recent import EVENTS_MIN, RecentBatches, places


def batch(first_event_id: int, events: int) -> Batch:
    """Events of different sizes: of each the task id is its own."""
    history = History(
        events=[
            HistoryEvent(event_id=first_event_id + n, task_id=7 ** (n % 20), worker_may_ignore=n % 2 == 0)
            for n in range(events)
        ]
    )
    return Batch(first_event_id, first_event_id + events, history.SerializeToString())


@pytest.mark.parametrize("count", [1, 2, 500])
def test_every_event_is_the_one_that_parsing_finds(count: int) -> None:
    written = batch(41, count)
    for event in History.FromString(written.blob).events:
        assert RecentBatches().take("run", written, event.event_id) == event
    assert len(places(written.blob)) == count + 1


def test_what_was_taken_is_found_again() -> None:
    recent = RecentBatches()
    assert recent.find("run", 5) is None
    taken = recent.take("run", batch(1, EVENTS_MIN), 5)
    assert recent.find("run", 5) == taken
    assert recent.find("run", EVENTS_MIN + 1) is None, "it is in another batch"
    assert recent.find("another", 5) is None


def test_a_batch_of_few_events_is_not_kept() -> None:
    recent = RecentBatches()
    recent.take("run", batch(1, 1), 1)
    assert recent.find("run", 1) is None


def test_what_was_not_used_for_longest_goes() -> None:
    size = len(batch(1, 100).blob)
    recent = RecentBatches(bytes_max=4 * size)
    recent.take("used", batch(1, 100), 1)
    for number in range(10):
        recent.take(f"run-{number}", batch(1, 100), 1)
        assert recent.find("used", 100) is not None
    assert recent.find("run-0", 1) is None
    assert recent.find("run-9", 1) is not None


def test_a_batch_that_is_too_large_is_not_kept() -> None:
    recent = RecentBatches(bytes_max=100)
    assert recent.take("run", batch(1, 100), 100).event_id == 100
    assert recent.find("run", 100) is None
