"""Resets in the smallest shell: a new shell forked off another one, as the service does it."""

from temporalio.api.history.v1 import History

from services.history.core.decision import Batch
from services.history.core.finish import finish
from services.history.core.reset import Fork, begin_reset, finish_reset, refuse_finish
from services.history.core.reset_reapply import Wanted, reapply
from tests.unit.history.shell import Shell

RUN_ID = "reset-run"


def batches_of(shell: Shell) -> list[Batch]:
    found = []
    for blob in shell.batches:
        events = History.FromString(blob).events
        found.append(Batch(events[0].event_id, events[-1].event_id + 1, blob))
    return found


def reset_shell(base: Shell, finish_event_id: int, want: Wanted | None = None) -> Shell:
    """The run that a reset makes of the base run, which stays as it is. Raises the core's rejections."""
    refuse_finish(base.run.info, finish_event_id)
    fork = Fork(base.run.info, RUN_ID, finish_event_id)
    shell = Shell(now_ns=base.now_ns, limits=base.limits, run_id=RUN_ID)
    for batch in batches_of(base):
        if batch.first_event_id < finish_event_id:
            fork.extend(batch)
            shell.batches.append(batch.blob)
    draft = begin_reset(fork, shell.given(), "reset", "again")
    for event in base.events()[finish_event_id - 1 :]:
        reapply(draft, event, want or Wanted())
    finish_reset(draft, base.run)
    shell.commit(finish(draft))
    return shell
