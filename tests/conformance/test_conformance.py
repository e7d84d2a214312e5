"""Every scenario gives the same transcript on Perdure, deployed as PERDURE_TEST_SERVER says, as on the official server.

The selected scenarios run at once, before the first test; each test looks up its own verdict.
"""

import asyncio
from collections.abc import Mapping

import pytest

from tests.conformance.judge import Verdict, judge
from tests.conformance.registry import all_scenarios
from tests.processes import server_under_test


@pytest.fixture(scope="session")
def verdicts(request: pytest.FixtureRequest) -> Mapping[str, Verdict]:
    """The verdicts of the scenarios this session selected, by name."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    names = {call.params["name"] for call in calls if call is not None and "name" in call.params}
    chosen = [each for name, each in all_scenarios().items() if name in names]

    async def run() -> dict[str, Verdict]:
        return {verdict.scenario.name: verdict async for verdict in judge(chosen, ["official", server_under_test()])}

    return asyncio.run(run())


@pytest.mark.parametrize("name", all_scenarios())
def test_scenario(verdicts: Mapping[str, Verdict], name: str) -> None:
    """The scenario agrees, or differs as the table of known differences says."""
    surprise = verdicts[name].surprising
    assert not surprise, surprise
