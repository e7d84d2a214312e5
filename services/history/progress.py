"""How far updates have come, told to those who wait for them in this host's memory."""

from temporalio.api.update.v1 import Outcome

from services.history.cache import RunEntry, Stage, UpdateProgress
from services.history.core.decision import Decision
from services.history.core.rejection import Reason, Rejection, closing
from services.history.core.run import Run
from services.history.core.updates import closed_outcome

ACCEPTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
COMPLETED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
ABORTED = Rejection(Reason.NOT_FOUND, "workflow update was aborted by closing workflow")
TASK_FAILED = Rejection(
    Reason.NOT_READY, "Unable to perform workflow execution update due to unexpected workflow task failure."
)


def tell_updates(entry: RunEntry, before: Run, decision: Decision) -> None:
    """What a decision that is true by now did to the updates of its run."""
    for update_id, outcome in decision.outcomes.items():
        progress = entry.updates.get(update_id)
        if progress is not None:
            _advance(progress, outcome)
    if decision.updates_failed:
        _task_failed(entry, before)
    if not decision.run.is_open:
        for progress in entry.updates.values():
            if progress.outcome is None and progress.aborted is None:
                _run_closed(progress, decision.run)
    for update_id in [u for u, progress in entry.updates.items() if not progress.waiters]:
        if entry.updates[update_id].outcome is not None or entry.updates[update_id].aborted:
            del entry.updates[update_id]


def _task_failed(entry: RunEntry, before: Run) -> None:
    """An answer of the worker was refused. Updates that it had been given are over, and may be asked for anew; who
    waits for one that was accepted before is told so.
    """
    given = {update_id for update_id, update in before.admitted.items() if update.sent_event_id}
    for update_id, progress in list(entry.updates.items()):
        if progress.stage == ACCEPTED:
            progress.given_up = True
        elif update_id in given:
            progress.aborted = TASK_FAILED
        else:
            continue
        del entry.updates[update_id]
        progress.advance()


def _run_closed(progress: UpdateProgress, run: Run) -> None:
    if progress.stage == ACCEPTED:
        _advance(progress, closed_outcome())
        return
    if run.info.new_execution_run_id:
        progress.aborted = closing()  # callers ask again, and reach the run that follows
    else:
        progress.aborted = ABORTED
    progress.advance()


def _advance(progress: UpdateProgress, outcome: Outcome | None) -> None:
    progress.outcome = outcome
    progress.stage = ACCEPTED if outcome is None else COMPLETED
    progress.advance()
