"""The audit that chaos relies on: it is content with what is so, and sees whatever is not."""

from __future__ import annotations

import asyncio
import time

from tests.cluster.audit import Audit
from tests.cluster.calls import Caller
from tests.cluster.load import Load
from tests.parts.cluster import Cluster

LOAD_S = 3.0


async def test_what_is_missing_or_wrong_is_seen(cluster: Cluster) -> None:
    frontends = [host.address for host in cluster.of("frontend")]
    async with Caller(frontends, patient=True) as caller, Load(caller, time.time_ns()) as load:
        await asyncio.sleep(LOAD_S)
        await load.finish()
        content = Audit(caller, load)
        await content.everything()
        assert load.ledger.results
        assert len(content.stories) == len(load.ledger.starts)
        assert not content.violations

        ledger, (workflow_id, *_) = load.ledger, load.ledger.starts
        ledger.starts[workflow_id].add("another run")
        ledger.signals["another signal"] = workflow_id
        ledger.updates["another update"] = (workflow_id, "run")
        ledger.workflow_tasks.append(("run", 1000))
        ledger.activities.append(("run", "another activity"))
        ledger.results[workflow_id] = "TERMINATED"
        discontent = Audit(caller, load, listed_s_max=1)
        await discontent.everything()
    told = "\n".join(discontent.violations)
    for what in ("starts", "signals", "updates", "completions of workflow tasks", "completions of activities"):
        assert f"1 {what} were acknowledged and are lost" in told
    assert f"{workflow_id}: a client saw TERMINATED" in told
    assert len(discontent.violations) == 6
