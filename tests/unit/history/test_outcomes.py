"""What a completion callback is told: headers and body of the request, as HTTP and Nexus have them."""

import json

import pytest
from temporalio.api.common.v1 import Callback as Address
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import (
    HistoryEvent,
    WorkflowExecutionCompletedEventAttributes,
    WorkflowExecutionFailedEventAttributes,
)

from services.history.core.run import Run
from services.history.core.times import SECOND, timestamp
from services.history.outcomes import completion
from services.protos.run_pb2 import Callback, RunInfo

RUN = Run(RunInfo(workflow_id="order/9 ü", run_id="run", start_time_ns=1_700_000_000 * SECOND))
NOBODY = Callback(callback=Address(nexus=Address.Nexus(url="http://somewhere/")))


def completed(*results: Payload) -> HistoryEvent:
    return HistoryEvent(
        event_time=timestamp(1_700_000_001 * SECOND + 5_000_000),
        workflow_execution_completed_event_attributes=WorkflowExecutionCompletedEventAttributes(
            result=Payloads(payloads=results)
        ),
    )


def payload(data: bytes, **metadata: bytes) -> Payload:
    return Payload(metadata=metadata, data=data)


def test_headers_tell_when_and_where() -> None:
    headers, body = completion("my space", RUN, completed(), NOBODY)
    assert body == b""
    assert headers == {
        "Nexus-Link": "<temporal:///namespaces/my%20space/workflows/order%2F9%20%C3%BC/run/history"
        '?eventID=1&eventType=WorkflowExecutionStarted&referenceType=EventReference>; type="temporal.api.common.v1.'
        'Link.WorkflowEvent"',
        "Nexus-Operation-Close-Time": "2023-11-14T22:13:21.005000000Z",
        "Nexus-Operation-Start-Time": "Tue, 14 Nov 2023 22:13:20 GMT",
        "Nexus-Operation-State": "succeeded",
    }


def test_an_attached_callback_is_linked_by_its_request() -> None:
    headers, _ = completion("n", RUN, completed(), Callback(callback=NOBODY.callback, request_id="a b&c"))
    assert (
        "?eventType=WorkflowExecutionOptionsUpdated&referenceType=RequestIdReference&requestID=a+b%26c>"
        in (headers["Nexus-Link"])
    )


def test_the_callbacks_own_header_comes_first() -> None:
    own = Callback(callback=Address(nexus=Address.Nexus(header={"content-type": "mine", "x-more": "yes"})))
    headers, _ = completion("n", RUN, completed(payload(b"1", encoding=b"json/plain")), own)
    assert headers["content-type"] == "mine"
    assert headers["x-more"] == "yes"
    assert "Content-Type" not in headers


@pytest.mark.parametrize(
    ("result", "media", "body"),
    [
        (payload(b'"a"', encoding=b"json/plain"), "application/json", b'"a"'),
        (payload(b"\x00", encoding=b"binary/plain"), "application/octet-stream", b"\x00"),
        (
            payload(b"p", encoding=b"binary/protobuf", messageType=b"a.B"),
            'application/x-protobuf; message-type="a.B"',
            b"p",
        ),
        (
            payload(b"{}", encoding=b"json/protobuf", messageType=b"a.B"),
            'application/json; format=protobuf; message-type="a.B"',
            b"{}",
        ),
        (payload(b"", encoding=b"binary/null"), None, b""),
    ],
)
def test_results_that_http_has_words_for(result: Payload, media: str | None, body: bytes) -> None:
    headers, sent = completion("n", RUN, completed(result, payload(b"another")), NOBODY)
    assert (headers.get("Content-Type"), sent) == (media, body)


@pytest.mark.parametrize("encoding", [b"binary/encrypted", b"json/plain"])
def test_other_results_go_as_they_are(encoding: bytes) -> None:
    result = payload(b"x", encoding=encoding, more=b"key")
    headers, sent = completion("n", RUN, completed(result), NOBODY)
    assert headers["Content-Type"] == "application/x-temporal-payload"
    assert Payload.FromString(sent) == result


def test_a_failure_keeps_its_causes_and_details() -> None:
    failure = Failure(
        message="boom",
        source="sdk",
        stack_trace="line 1",
        application_failure_info=ApplicationFailureInfo(type="Boom"),
        cause=Failure(message="why"),
    )
    close = HistoryEvent(
        workflow_execution_failed_event_attributes=WorkflowExecutionFailedEventAttributes(failure=failure)
    )
    headers, body = completion("n", RUN, close, NOBODY)
    assert headers["Nexus-Operation-State"] == "failed"
    kind = {"type": "temporal.api.failure.v1.Failure"}
    assert json.loads(body) == {
        "message": "boom",
        "stackTrace": "line 1",
        "metadata": kind,
        "details": {"source": "sdk", "cause": {"message": "why"}, "applicationFailureInfo": {"type": "Boom"}},
        "cause": {"message": "why", "metadata": kind, "details": {}},
    }
