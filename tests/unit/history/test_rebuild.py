"""A run that is rebuilt from its history is the run that lived it: for any sequence of inputs.

PERDURE_REBUILD_EXAMPLES=5000 looks longer and at random; without it the same lives are led every time.
"""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.history.invariants import check
from tests.unit.history.life import Life

LONG = os.environ.get("PERDURE_REBUILD_EXAMPLES")
STEPS = 50


@settings(
    max_examples=int(LONG or 150),
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_any_life_keeps_the_invariants(data: st.DataObject) -> None:
    life = Life(data)
    check(life.shell)
    for _ in range(STEPS):
        life.step()
        check(life.shell)
        if life.shell.successor is not None:
            check(life.shell.successor)
