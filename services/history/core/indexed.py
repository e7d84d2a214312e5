"""Search attributes that the server keeps itself: of builds, the versioning behavior, pauses, and tasks that fail.

They belong to one run: the next one of its chain does not have them.
"""

import json
from collections.abc import Iterable

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import VersioningOverride

from services.history.core.names import camel, cause_name
from services.history.core.run import Run
from services.protos.run_pb2 import TaskProblem

BUILDS = "BuildIds"
BEHAVIOR = "TemporalWorkflowVersioningBehavior"
PAUSES = "TemporalPauseInfo"
PROBLEMS = "TemporalReportedProblems"
KEPT_BY_SERVER = (BUILDS, BEHAVIOR, PAUSES, PROBLEMS)
UNVERSIONED = "unversioned"
OF_RUN = ("Workflow:", "Reason:")  # of TemporalPauseInfo; other entries are of activities


def index_build(run: Run, build_id: str) -> None:
    """A task was completed by a worker of this build; lists find the run by it. (events_commands.md section 13)"""
    builds = [] if run.info.versioning_info.HasField("versioning_override") else [UNVERSIONED]
    if build_id:
        builds.append(f"{UNVERSIONED}:{build_id}")
    known = _values(run, BUILDS)
    new = [build for build in builds if build not in known]
    if new:
        _set_values(run, BUILDS, known + new)


def index_pause(run: Run) -> None:
    """Why the run is paused, before what is said of its activities."""
    values = [value for value in _values(run, PAUSES) if not value.startswith(OF_RUN)]
    if run.is_paused:
        pause, own = run.info.pause, [f"Workflow:{run.info.workflow_id}"]
        values = own + ([f"Reason:{pause.reason}"] if pause.reason else []) + values
    _set_values(run, PAUSES, values)


def note_problem(run: Run, event: HistoryEvent) -> None:
    """A workflow task failed, or timed out."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
        name = cause_name(event.workflow_task_failed_event_attributes.cause)
        problem = TaskProblem(category="WorkflowTaskFailed", cause=name)
    else:
        kind = event.workflow_task_timed_out_event_attributes.timeout_type
        name = camel(TimeoutType.Name(kind), "TIMEOUT_TYPE_")
        problem = TaskProblem(category="WorkflowTaskTimedOut", cause=name)
    run.info.task_problem.CopyFrom(problem)


def index_problem(run: Run) -> None:
    """Why the run's workflow tasks come to nothing, one after the other."""
    problem = run.info.task_problem
    _set_values(run, PROBLEMS, [f"category={problem.category}", f"cause={problem.category}Cause{problem.cause}"])


def forget_problem(run: Run) -> bool:
    """A workflow task was completed. True when lists have to be told."""
    return _remove(run, PROBLEMS)


def index_paused_activities(run: Run) -> bool:
    """The types of the paused activities, after why the run itself is paused. False when nothing has changed."""
    before = _values(run, PAUSES)
    forget_paused_activities(run)
    types = sorted({activity.activity_type for activity in run.activities.values() if activity.HasField("pause")})
    values = _values(run, PAUSES) + [f"property:activityType={name}" for name in types]
    _set_values(run, PAUSES, values)
    return values != before


def forget_paused_activities(run: Run) -> None:
    """What no event speaks of."""
    _set_values(run, PAUSES, [value for value in _values(run, PAUSES) if value.startswith(OF_RUN)])


def set_override(run: Run, override: VersioningOverride) -> None:
    """The run is on no build of the unversioned ones any more."""
    shown = run.info.versioning_info.versioning_override
    shown.CopyFrom(override)
    if override.auto_upgrade:
        data = json.dumps("AutoUpgrade").encode()
        attributes = run.info.search_attributes.indexed_fields
        attributes[BEHAVIOR].CopyFrom(Payload(metadata={"encoding": b"json/plain", "type": b"Keyword"}, data=data))
    _set_values(run, BUILDS, [build for build in _values(run, BUILDS) if build != UNVERSIONED])


def unset_override(run: Run) -> None:
    """The run is what its workers make it."""
    if not run.info.versioning_info.HasField("versioning_override"):
        return
    run.info.versioning_info.ClearField("versioning_override")
    run.info.search_attributes.indexed_fields.pop(BEHAVIOR, None)
    _set_values(run, BUILDS, [UNVERSIONED, *_values(run, BUILDS)])


def _values(run: Run, name: str) -> list[str]:
    fields = run.info.search_attributes.indexed_fields
    return list(json.loads(fields[name].data)) if name in fields else []


def _set_values(run: Run, name: str, values: Iterable[str]) -> None:
    values = list(values)
    if not values:
        _remove(run, name)
        return
    fields = run.info.search_attributes.indexed_fields
    data = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    fields[name].CopyFrom(Payload(metadata={"encoding": b"json/plain", "type": b"KeywordList"}, data=data))


def _remove(run: Run, name: str) -> bool:
    """False when it was not there."""
    info = run.info
    if not info.HasField("search_attributes") or name not in info.search_attributes.indexed_fields:
        return False
    del info.search_attributes.indexed_fields[name]
    if not info.search_attributes.indexed_fields:
        info.ClearField("search_attributes")
    return True
