"""Everything the API has is handled, or refused on purpose: a new version of the API cannot slip by."""

import pytest
from temporalio.api.enums.v1 import CommandType, EventType

from services.history.core.apply import APPLY, NO_STATE
from services.history.core.commands import CLOSING, DECIDE, NOT_BUILT
from services.history.core.completion import _KNOWN
from services.history.core.draft import ENDINGS, KINDS

# Events that nothing here writes yet, by what they belong to.
UNBUILT = {
    "Nexus": ("NEXUS_OPERATION_",),
    "skipping time": ("WORKFLOW_EXECUTION_TIME_SKIPPING",),
    "changes from outside": ("WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY", "ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY"),
    "rejections, which leave no event": ("WORKFLOW_EXECUTION_UPDATE_REJECTED",),
}
PREFIXES = tuple(f"EVENT_TYPE_{name}" for names in UNBUILT.values() for name in names)


@pytest.mark.parametrize("name", [name for name in EventType.keys() if name != "EVENT_TYPE_UNSPECIFIED"])  # noqa: SIM118 (an enum wrapper does not iterate)
def test_every_event_type_is_folded_or_not_written(name: str) -> None:
    number = EventType.Value(name)
    places = [number in APPLY, number in NO_STATE, name.startswith(PREFIXES)]
    assert places.count(True) == 1, places


@pytest.mark.parametrize("name", [name for name in CommandType.keys() if name != "COMMAND_TYPE_UNSPECIFIED"])  # noqa: SIM118 (as above)
def test_every_command_type_is_decided_or_refused(name: str) -> None:
    number = CommandType.Value(name)
    protocol_message = number == CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE
    assert [number in DECIDE, number in NOT_BUILT, protocol_message].count(True) == 1
    assert number in _KNOWN


def test_what_events_are_called_agrees() -> None:
    assert {number for _, number in KINDS.values()} == set(EventType.values()) - {0}
    assert set(APPLY) >= ENDINGS
    assert set(DECIDE) >= CLOSING


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_is_unbuilt_exists(prefix: str) -> None:
    assert any(name.startswith(prefix) for name in EventType.keys())  # noqa: SIM118 (as above)
