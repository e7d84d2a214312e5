"""How the end of a run is told to a completion callback: the request that completes a Nexus operation."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, quote_plus

from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import CanceledFailureInfo, Failure, TerminatedFailureInfo, TimeoutFailureInfo
from temporalio.api.history.v1 import HistoryEvent

from services.history.core.run import Run
from services.history.core.times import SECOND, ns_of
from services.protos.run_pb2 import Callback

Content = tuple[dict[str, str], bytes]  # headers that describe a body, and the body
LINK_TYPE = "temporal.api.common.v1.Link.WorkflowEvent"


def completion(namespace: str, run: Run, close: HistoryEvent, callback: Callback) -> Content:
    """The headers and the body of the request. What the callback's own header says comes first."""
    state, (described, body) = _outcome(close)
    headers = {
        **described,
        "Nexus-Link": _link(namespace, run, callback),
        "Nexus-Operation-Close-Time": _rfc3339(ns_of(close.event_time)),
        "Nexus-Operation-Start-Time": format_datetime(
            datetime.fromtimestamp(run.info.start_time_ns // SECOND, UTC), usegmt=True
        ),
        "Nexus-Operation-State": state,
    }
    own = {name.lower() for name in callback.callback.nexus.header}
    kept = {name: value for name, value in headers.items() if name.lower() not in own}
    return {**kept, **callback.callback.nexus.header}, body


def _outcome(close: HistoryEvent) -> tuple[str, Content]:
    match close.WhichOneof("attributes"):
        case "workflow_execution_completed_event_attributes":
            result = close.workflow_execution_completed_event_attributes.result.payloads
            return "succeeded", _content(result[0] if result else Payload())
        case "workflow_execution_failed_event_attributes":
            return "failed", _failed(close.workflow_execution_failed_event_attributes.failure)
        case "workflow_execution_canceled_event_attributes":
            canceled = close.workflow_execution_canceled_event_attributes
            info = CanceledFailureInfo(details=canceled.details if canceled.HasField("details") else None)
            return "canceled", _failed(Failure(message="operation canceled", canceled_failure_info=info))
        case "workflow_execution_terminated_event_attributes":
            terminated = Failure(message="operation terminated", terminated_failure_info=TerminatedFailureInfo())
            return "failed", _failed(terminated)
        case "workflow_execution_timed_out_event_attributes":
            message = "operation exceeded internal timeout"
            return "failed", _failed(Failure(message=message, timeout_failure_info=TimeoutFailureInfo()))
        case other:
            raise AssertionError(f"{other} ends no chain of runs")


def _content(payload: Payload) -> Content:
    """A payload as HTTP has it; one that HTTP has no words for goes as it is."""
    metadata = {name: value.decode("utf-8", "replace") for name, value in payload.metadata.items()}
    encoding, names = metadata.get("encoding", ""), set(metadata)
    message_type = metadata.get("messageType", "")
    if not payload.ByteSize() or (encoding == "binary/null" and names == {"encoding"}):
        return {}, b""
    if encoding == "json/plain" and names == {"encoding"}:
        media = "application/json"
    elif encoding == "binary/plain" and names == {"encoding"}:
        media = "application/octet-stream"
    elif encoding == "json/protobuf" and names == {"encoding", "messageType"}:
        media = f'application/json; format=protobuf; message-type="{message_type}"'
    elif encoding == "binary/protobuf" and names == {"encoding", "messageType"}:
        media = f'application/x-protobuf; message-type="{message_type}"'
    else:
        return {"Content-Type": "application/x-temporal-payload"}, payload.SerializeToString(deterministic=True)
    return {"Content-Type": media}, payload.data


def _failed(failure: Failure) -> Content:
    text = json.dumps(_nexus_failure(failure), separators=(",", ":"), ensure_ascii=False)
    return {"Content-Type": "application/json"}, text.encode()


def _nexus_failure(failure: Failure) -> dict[str, object]:
    """A failure in Nexus's form: message and stack trace in its own fields, all else in the details."""
    details = Failure()
    details.CopyFrom(failure)
    details.ClearField("message")
    details.ClearField("stack_trace")
    told: dict[str, object] = {"message": failure.message}
    if failure.stack_trace:
        told["stackTrace"] = failure.stack_trace
    told["metadata"] = {"type": "temporal.api.failure.v1.Failure"}
    told["details"] = MessageToDict(details)
    if failure.HasField("cause"):
        told["cause"] = _nexus_failure(failure.cause)
    return told


def _link(namespace: str, run: Run, callback: Callback) -> str:
    """To the event that registered the callback: event 1, or by the request that attached it."""
    info = run.info
    if callback.request_id:
        request = quote_plus(callback.request_id)
        query = f"eventType=WorkflowExecutionOptionsUpdated&referenceType=RequestIdReference&requestID={request}"
    else:
        query = "eventID=1&eventType=WorkflowExecutionStarted&referenceType=EventReference"
    path = "/".join(quote(part, safe="$&+=:@") for part in ("namespaces", namespace, "workflows", info.workflow_id))
    return f'<temporal:///{path}/{info.run_id}/history?{query}>; type="{LINK_TYPE}"'


def _rfc3339(at_ns: int) -> str:
    seconds, nanos = divmod(at_ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09}Z"
