"""The scenarios of a module that the session selected run at once, before its first test: each looks up its verdict."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.conformance.judge import Verdict, judge
from tests.conformance.registry import all_scenarios


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Mapping[str, Verdict]:
    """Verdicts by scenario's name: the official server, and the module's SERVER."""
    items = [item for item in request.session.items if getattr(item, "module", None) is request.module]
    calls = [getattr(item, "callspec", None) for item in items]
    names = {call.params["name"] for call in calls if call is not None and "name" in call.params}
    chosen = [each for name, each in all_scenarios().items() if name in names]

    async def run() -> dict[str, Verdict]:
        return {verdict.scenario.name: verdict async for verdict in judge(chosen, ["official", request.module.SERVER])}

    return asyncio.run(run())
