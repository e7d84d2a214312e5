"""What several hosts have to do with is told by a cluster as by the official server, calls going to each frontend in
turn. All scenarios: make conformance DEPLOYMENT=cluster.
"""

from collections.abc import Mapping

import pytest

from tests.conformance.judge import Verdict
from tests.conformance.registry import all_scenarios

SERVER = "cluster"
SUBJECTS = {
    "children",  # in other shards than their parents
    "limits",  # sizes and errors through two hops
    "namespaces",  # made on one host, used on another
    "queries",  # from frontend to history, matching, worker, and back
    "update_with_start",
    "updates",  # waits that outlive the call of the hop
    "visibility",
}


@pytest.mark.parametrize("name", [each.name for each in all_scenarios().values() if each.subject in SUBJECTS])
def test_scenario_on_a_cluster(verdicts: Mapping[str, Verdict], name: str) -> None:
    surprise = verdicts[name].surprising
    assert not surprise, surprise
