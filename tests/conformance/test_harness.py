"""The harness tells what matters, and takes nothing else for a difference."""

import asyncio

import grpc
import temporalio.api.workflowservice.v1 as api
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from temporalio.api.enums.v1 import EventType
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.history.v1 import HistoryEvent, TimerFiredEventAttributes

from tests.conformance.judge import Verdict
from tests.conformance.normalise import Normaliser
from tests.conformance.registry import Scenario
from tests.conformance.transcript import Refusal, Transcript
from tests.conformance.wire import Stopped, Wire, tell

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def fired(task_id: int, at_s: int, timer_id: str = "t") -> HistoryEvent:
    """An event of a timer."""
    return HistoryEvent(
        event_id=5,
        task_id=task_id,
        event_time=Timestamp(seconds=at_s),
        event_type=EventType.EVENT_TYPE_TIMER_FIRED,
        timer_fired_event_attributes=TimerFiredEventAttributes(timer_id=timer_id),
    )


def told(*replies: HistoryEvent, stopped: str = "") -> Transcript:
    """A transcript of some replies."""
    transcript = Transcript(stopped=stopped)
    for reply in replies:
        transcript.settle(transcript.enter("call"), reply)
    return transcript


def verdict(*transcripts: Transcript) -> Verdict:
    """What the judge makes of transcripts."""

    async def body(_: Wire) -> None: ...

    return Verdict(Scenario("story", "tests", body), ["official", "perdure"], transcripts)


def test_times_and_counters_are_no_difference() -> None:
    assert verdict(told(fired(7, 1000)), told(fired(9, 2000))).agrees


def test_a_field_is_a_difference_and_is_shown() -> None:
    differs = verdict(told(fired(7, 1000)), told(fired(7, 1000, "other")))
    assert not differs.agrees
    assert "-    timer_id: 't'" in differs.difference()
    assert "+    timer_id: 'other'" in differs.difference()


def test_a_missing_time_is_a_difference() -> None:
    without = fired(7, 1000)
    without.ClearField("event_time")
    assert not verdict(told(fired(7, 1000)), told(without)).agrees


def test_a_scenario_that_stopped_agrees_with_nothing() -> None:
    assert not verdict(told(stopped="no task came"), told(stopped="no task came")).agrees


def test_uuids_keep_their_number() -> None:
    normaliser = Normaliser()
    assert normaliser.text(f"{TWO} {ONE} {TWO}") == "uuid-1 uuid-2 uuid-1"


def test_an_error_is_told_with_code_text_and_details() -> None:
    status = Status(message="Namespace nowhere is not found.")
    status.details.add().Pack(NamespaceNotFoundFailure(namespace="nowhere"))
    transcript = Transcript()
    entry = transcript.enter("call")
    entry.outcome = Refusal(grpc.StatusCode.NOT_FOUND, status.message, status)
    assert transcript.render() == [
        "# call",
        "  ! NOT_FOUND: Namespace nowhere is not found.",
        "  detail: type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure",
        "    namespace: 'nowhere'",
    ]


def test_concurrent_calls_stand_in_the_order_they_went_out() -> None:
    transcript = Transcript()
    first, second = transcript.enter("first"), transcript.enter("second")
    transcript.settle(second, api.GetSystemInfoResponse())
    transcript.settle(first, api.GetSystemInfoResponse())
    assert transcript.render() == ["# first", "# second"]


async def test_a_scenario_never_hangs_and_never_raises() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:

        async def hang(_: Wire) -> None:
            await asyncio.Event().wait()

        async def stop(_: Wire) -> None:
            raise Stopped("enough")

        async def trip(_: Wire) -> None:
            raise IndexError("no such message")

        assert (await tell(Wire(channel, "hang"), hang, 0.01)).stopped == "not finished after 0.01 s"
        assert (await tell(Wire(channel, "stop"), stop, 1)).stopped == "enough"
        assert (await tell(Wire(channel, "trip"), trip, 1)).stopped == "IndexError: no such message"
