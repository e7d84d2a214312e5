"""Every scenario gives the same transcript on Perdure as on the official server."""

from collections.abc import Mapping

import pytest

from tests.conformance.judge import Verdict
from tests.conformance.registry import all_scenarios
from tests.processes import server_under_test

SERVER = server_under_test()


@pytest.mark.parametrize("name", all_scenarios())
def test_scenario(verdicts: Mapping[str, Verdict], name: str) -> None:
    """The scenario agrees, or differs as the table of known differences says."""
    surprise = verdicts[name].surprising
    assert not surprise, surprise
