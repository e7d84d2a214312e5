"""Updates that a reset has taken along: they are admitted by an event, and their worker reads of them in the history.

No message of a workflow task speaks of them, and a rejection is no event: one that the first completion after the reset
says nothing of, or rejects, is forgotten.
"""

from collections.abc import Iterator

from services.history.core.run import Run, copy_of
from services.protos.run_pb2 import Update


def answer_admitted(run: Run, completed_event_id: int) -> Iterator[str]:
    """The first workflow task after a reset is completed: what is not accepted with it is rejected."""
    for update_id in run.open_updates:
        update = run.updates[update_id]
        if not update.accepted_event_id and not update.answered_event_id:
            answered = copy_of(update)
            answered.answered_event_id = completed_event_id
            run.updates[update_id] = answered
            yield update_id


def is_answered_now(run: Run, update_id: str) -> bool:
    """Whether the completion of a workflow task that is being decided is what answers the update."""
    update = run.updates.get(update_id)
    return update is not None and is_forgotten(update) and update.answered_event_id == run.info.completed_task_event_id


def answered_now(run: Run) -> Iterator[str]:
    return (update_id for update_id in run.open_updates if is_answered_now(run, update_id))


def is_known(run: Run, update_id: str) -> bool:
    """Whether an update of that id is, or was, more than a wish that came to nothing."""
    update = run.updates.get(update_id)
    return update_id in run.admitted or (update is not None and not is_forgotten(update))


def is_forgotten(update: Update) -> bool:
    """Whether it was rejected."""
    return bool(update.answered_event_id) and not update.accepted_event_id
