"""Commands with attributes that are missing, wrong or contradictory, and commands that meet other commands."""

import temporalio.api.workflowservice.v1 as api
from temporalio.api.command.v1 import Command
from temporalio.api.command.v1 import ContinueAsNewWorkflowExecutionCommandAttributes as Continue
from temporalio.api.command.v1 import ModifyWorkflowPropertiesCommandAttributes as Modify
from temporalio.api.command.v1 import RequestCancelExternalWorkflowExecutionCommandAttributes as CancelExternal
from temporalio.api.command.v1 import SignalExternalWorkflowExecutionCommandAttributes as SignalExternal
from temporalio.api.common.v1 import Header, Memo, Payload, SearchAttributes
from temporalio.api.enums.v1 import CommandType

from tests.conformance.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    modify_properties,
    payload,
    record_marker,
    schedule_activity,
    seconds,
    signal_external,
    start_child,
    start_timer,
    upsert_search_attributes,
)
from tests.conformance.registry import scenario
from tests.conformance.wire import Wire

Start = api.StartWorkflowExecutionRequest

NULL = Payload(metadata={"encoding": b"binary/null"})


async def each_list_alone(w: Wire, lists: dict[str, list[Command]]) -> None:
    """Try each list of commands (by what is odd about it) as the answer to the first task of a workflow of its own."""
    for index, (oddity, commands) in enumerate(lists.items()):
        other = w.other(str(index))
        await other.start()
        request = other.completion(await other.workflow_task(), *commands)
        await other.attempt(w.rpc.RespondWorkflowTaskCompleted, request, note=oddity)


def noted(command: Command) -> Command:
    """The command with user metadata."""
    command.user_metadata.summary.CopyFrom(payload("summary"))
    command.user_metadata.details.CopyFrom(payload("details"))
    return command


def indexed(**values: bytes) -> Command:
    """Search attributes by their JSON."""
    fields = {name: Payload(metadata={"encoding": b"json/plain"}, data=data) for name, data in values.items()}
    return upsert_search_attributes(SearchAttributes(indexed_fields=fields))


@scenario
async def command_without_attributes(w: Wire) -> None:
    """Each command with no attributes at all (but of a child: there the reference crashes)."""
    kinds = (
        "REQUEST_CANCEL_ACTIVITY_TASK",
        "CANCEL_TIMER",
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION",
        "CONTINUE_AS_NEW_WORKFLOW_EXECUTION",
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "PROTOCOL_MESSAGE",
        "MODIFY_WORKFLOW_PROPERTIES",
    )
    await w.each_alone({kind: Command(command_type=CommandType.Value(f"COMMAND_TYPE_{kind}")) for kind in kinds})


@scenario
async def command_markers(w: Wire) -> None:
    """A marker keeps header and failure; a long name is no trouble, none is."""
    full = record_marker("m", one="1", two="2")
    full.record_marker_command_attributes.header.CopyFrom(Header(fields={"trace": payload("on")}))
    full.record_marker_command_attributes.failure.CopyFrom(failure())
    await w.each_alone(
        {
            "full": full,
            "no name": record_marker(""),
            "long name": record_marker("x" * 1001),
            "no details": record_marker("m"),
        }
    )


@scenario
async def command_search_attributes_odd(w: Wire) -> None:
    """Attributes of each kind, with values that do or do not fit them."""
    typed = upsert_search_attributes(
        SearchAttributes(
            indexed_fields={
                "Shade": Payload(metadata={"encoding": b"json/plain", "type": b"Int"}, data=b'"green"'),
            }
        )
    )
    raw = upsert_search_attributes(SearchAttributes(indexed_fields={"Shade": Payload(data=b"x")}))
    empty = upsert_search_attributes(SearchAttributes(indexed_fields={"Shade": Payload()}))
    many = {f"Unheard{index}": b"1" for index in range(3)}
    await w.each_alone(
        {
            "nothing": upsert_search_attributes(SearchAttributes()),
            "number for a keyword": indexed(Shade=b"1"),
            "list for a keyword": indexed(Shade=b'["green"]'),
            "longer list for a keyword": indexed(Shade=b'["green", "blue"]'),
            "fraction for an int": indexed(Weight=b"1.5"),
            "text for an int": indexed(Weight=b'"1"'),
            "object for a text": indexed(Story=b'{"a": 1}'),
            "broken json": indexed(Shade=b'"gre'),
            "type of its own": typed,
            "no encoding": raw,
            "empty payload": empty,
            "unknown ones": indexed(**dict(sorted(many.items())[:1])),
            "system's run id": indexed(RunId=b'"x"'),
            "system's start": indexed(StartTime=b'"2026-01-01T00:00:00Z"'),
            "system's status": indexed(ExecutionStatus=b'"Running"'),
            "change version": indexed(TemporalChangeVersion=b'["one"]'),
            "binary checksums": indexed(BinaryChecksums=b'["one"]'),
            "build ids": indexed(BuildIds=b'["one"]'),
            "division": indexed(TemporalNamespaceDivision=b'"mine"'),
            "schedule's": indexed(TemporalScheduledById=b'"x"'),
            "paused schedule": indexed(TemporalSchedulePaused=b"true"),
            "reported problems": indexed(TemporalReportedProblems=b'["x"]'),
            "pause info": indexed(TemporalPauseInfo=b'["x"]'),
            "empty name": upsert_search_attributes(SearchAttributes(indexed_fields={"": payload("x")})),
        }
    )


@scenario
async def command_search_attributes_unset(w: Wire) -> None:
    """Null and an empty list unset an attribute; what was never set may be unset, too."""
    request = Start()
    request.search_attributes.indexed_fields["Shade"].CopyFrom(payload("green"))
    request.search_attributes.indexed_fields["Weight"].CopyFrom(
        Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    )
    await w.start(request)
    await w.turn(upsert_search_attributes(SearchAttributes(indexed_fields={"Shade": NULL})))
    await w.describe()
    await w.signal()
    await w.turn(indexed(Weight=b"[]"), indexed(Story=b"null"))
    await w.describe()
    await w.signal()
    await w.turn(indexed(Shade=b'"red"', Weight=b"null"), indexed(Shade=b'"blue"'), complete_workflow())
    await w.describe()


@scenario
async def command_memo_changes(w: Wire) -> None:
    """Entries are merged; null deletes; several changes in a row; a memo that is emptied."""
    await w.start(Start(memo=Memo(fields={"one": payload("1"), "two": payload("2")})))
    json_null = Payload(metadata={"encoding": b"json/plain"}, data=b"null")
    changes = [
        Memo(fields={"one": payload("uno"), "three": payload("3")}),
        Memo(fields={"three": json_null}),
        Memo(fields={"never": NULL}),
        Memo(fields={"empty": Payload()}),
    ]
    await w.turn(*(modify_properties(Modify(upserted_memo=change)) for change in changes))
    await w.describe()
    await w.signal()
    emptied = Memo(fields=dict.fromkeys(("one", "two", "three", "empty"), NULL))
    await w.turn(modify_properties(Modify(upserted_memo=emptied)), complete_workflow())
    await w.describe()


@scenario
async def command_memo_grows_too_large(w: Wire) -> None:
    """Two changes that fit, whose sum does not."""
    await w.start()
    half = Payload(data=b"x" * (1024 * 1024 + 1))
    await w.turn(modify_properties(Modify(upserted_memo=Memo(fields={"one": half}))))
    await w.signal()
    request = w.completion(await w.workflow_task(), modify_properties(Modify(upserted_memo=Memo(fields={"two": half}))))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)


@scenario
async def command_user_metadata(w: Wire) -> None:
    """Which commands hand their metadata on to their events."""
    await w.start()
    someone = w.execution("someone")
    await w.turn(
        noted(start_timer("t", 60)),
        noted(cancel_timer("t")),
        noted(schedule_activity("a", w.id("nobody"))),
        noted(cancel_activity(7)),
        noted(record_marker("m")),
        noted(upsert_search_attributes(SearchAttributes(indexed_fields={"Shade": payload("red")}))),
        noted(modify_properties(Modify(upserted_memo=Memo(fields={"one": payload("1")})))),
    )
    relations = (
        start_child(w.id("child"), w.id("child")),
        signal_external(SignalExternal(execution=someone, signal_name="hi")),
        cancel_external(CancelExternal(workflow_id="someone")),
    )
    for command in relations:
        await w.turn(noted(command))
    await w.describe(w.id("child"))
    await w.turn(noted(complete_workflow()))
    await w.closed(w.id("child"))


@scenario
async def command_user_metadata_at_the_end(w: Wire) -> None:
    """Metadata of closing commands, and of the run that follows."""
    lists = {
        "fail": [noted(fail_workflow())],
        "cancel": [noted(cancel_workflow())],
        "continue": [noted(continue_as_new(Continue(backoff_start_interval=seconds(60))))],
    }
    await each_list_alone(w, lists)


@scenario
async def command_user_metadata_too_large(w: Wire) -> None:
    """Metadata over the limits of a start."""
    summary, details = start_timer("t", 60), start_timer("t", 60)
    summary.user_metadata.summary.CopyFrom(Payload(data=b"x" * 401))
    details.user_metadata.details.CopyFrom(Payload(data=b"x" * 20001))
    await w.each_alone({"summary": summary, "details": details})


@scenario
async def command_cancel_activity_odd(w: Wire) -> None:
    """Cancellations of activities that are unknown, new, or cancelled already."""
    await each_list_alone(
        w,
        {
            "no event": [cancel_activity(0)],
            "negative event": [cancel_activity(-1)],
            "unknown event": [cancel_activity(99)],
            "not an activity": [start_timer("t", 60), cancel_activity(5)],
            "just scheduled": [schedule_activity("a", w.id("nobody")), cancel_activity(5)],
            "twice": [schedule_activity("a", w.id("nobody")), cancel_activity(5), cancel_activity(5)],
            "and closed": [schedule_activity("a", w.id("nobody")), cancel_activity(5), complete_workflow()],
            "id used again": [
                schedule_activity("a", w.id("nobody")),
                cancel_activity(5),
                schedule_activity("a", w.id("nobody")),
            ],
            "duplicate id": [schedule_activity("a", w.id("nobody")), schedule_activity("a", w.id("nobody"))],
        },
    )


@scenario
async def command_cancel_started_activity(w: Wire) -> None:
    """A started activity is asked once; a second command about it is refused."""
    await w.start()
    await w.turn(schedule_activity("a", w.queue))
    await w.activity_task()
    await w.signal()
    await w.turn(cancel_activity(5))
    await w.signal()
    request = w.completion(await w.workflow_task(), cancel_activity(5))
    await w.attempt(w.rpc.RespondWorkflowTaskCompleted, request)
    await w.turn(complete_workflow())


@scenario
async def command_cancel_timer_odd(w: Wire) -> None:
    """Cancellations of timers that were cancelled already, and ids that are used again at once."""
    await each_list_alone(
        w,
        {
            "twice": [start_timer("t", 60), cancel_timer("t"), cancel_timer("t")],
            "and again": [start_timer("t", 60), cancel_timer("t"), start_timer("t", 60), complete_workflow()],
            "before": [cancel_timer("t"), start_timer("t", 60)],
        },
    )


@scenario
async def command_memo_nothings(w: Wire) -> None:
    """What counts as nothing, when a memo is changed."""
    json = {"encoding": b"json/plain"}
    values = {
        "empty": Payload(),
        "json without data": Payload(metadata=json),
        "empty list": Payload(metadata=json, data=b"[]"),
        "empty text": Payload(metadata=json, data=b'""'),
        "data alone": Payload(data=b"x"),
        "null with data": Payload(metadata=NULL.metadata, data=b"x"),
        "null of a type": Payload(metadata={**NULL.metadata, "type": b"Keyword"}),
        "padded null": Payload(metadata=json, data=b" null"),
        "null": Payload(metadata=json, data=b"null"),
    }
    await w.start(Start(memo=Memo(fields=values)))
    await w.describe()
    await w.turn(modify_properties(Modify(upserted_memo=Memo(fields=values))))
    await w.describe()


@scenario
async def command_messages_odd(w: Wire) -> None:
    """References to messages that there are none of."""
    nothing = Command(command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE)
    nothing.protocol_message_command_attributes.SetInParent()
    absent = Command(command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE)
    absent.protocol_message_command_attributes.message_id = "tea"
    await w.each_alone({"no id": nothing, "absent": absent})
