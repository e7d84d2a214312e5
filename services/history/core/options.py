"""Options of an open run that a caller may change: its versioning override and its priority. (section 13)"""

from temporalio.api.common.v1 import Priority
from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.history.v1 import WorkflowExecutionOptionsUpdatedEventAttributes
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions

from services.history.core.draft import Draft
from services.history.core.rejection import Reason, Rejection, completed, invalid
from services.history.core.run import Run, copy_fields
from services.protos.run_pb2 import Task

Behavior = VersioningBehavior
OLD_PARTS = {"versioning_override.behavior", "versioning_override.deployment"}


def options_of(run: Run) -> WorkflowExecutionOptions:
    """The options that the run has now."""
    options = WorkflowExecutionOptions()
    copy_fields(run.info.versioning_info, options, ("versioning_override",))
    copy_fields(run.info, options, ("priority",))
    return options


def update_options(
    draft: Draft, given: WorkflowExecutionOptions, paths: list[str], identity: str
) -> WorkflowExecutionOptions:
    """Changes what `paths` name to what `given` says, and tells all options; no event says that nothing changed."""
    if not draft.run.is_open:
        raise completed()
    refuse_pinned(given.versioning_override, draft.info.workflow_id, draft.info.task_queue)
    known = options_of(draft.run)
    wanted = merged(known, given, paths)
    if wanted == known:
        return wanted
    overrides = wanted.HasField("versioning_override")
    draft.add(
        WorkflowExecutionOptionsUpdatedEventAttributes(
            versioning_override=modern(wanted.versioning_override) if overrides else None,
            unset_versioning_override=not overrides,
            priority=wanted.priority if wanted.HasField("priority") else None,
            identity=identity,
        )
    )
    draft.push(Task.UPDATE_VISIBILITY)
    return wanted


def merged(
    known: WorkflowExecutionOptions, given: WorkflowExecutionOptions, paths: list[str]
) -> WorkflowExecutionOptions:
    """`known` with the fields that `paths` name taken from `given`; what is not set there is cleared."""
    options = WorkflowExecutionOptions()
    options.CopyFrom(known)
    for path in _whole_override(paths):
        field, _, part = path.partition(".")
        if part:
            setattr(options.priority, part, getattr(given.priority, part))
        elif field in ("priority", "versioning_override"):
            options.ClearField(field)  # type: ignore[arg-type]  # the stubs know literals only
            copy_fields(given, options, (field,))
    return options


def _whole_override(paths: list[str]) -> list[str]:
    """An override is replaced as a whole; that used to be said by its first two fields."""
    parts = {path for path in paths if path.startswith("versioning_override.")}
    if not parts:
        return paths
    if len(parts & OLD_PARTS) == 1:
        raise invalid("error applying update_options: versioning_override fields must be updated together")
    if parts != OLD_PARTS:
        raise invalid("error applying update_options: versioning_override doesn't support partial updates")
    return [*(path for path in paths if path not in parts), "versioning_override"]


def inherited(own: Priority, parent: Priority) -> Priority:
    """The priority of a child or an activity: what it does not say itself is its workflow's."""
    return Priority(
        priority_key=own.priority_key or parent.priority_key,
        fairness_key=own.fairness_key or parent.fairness_key,
        fairness_weight=own.fairness_weight or parent.fairness_weight,
    )


def modern(override: VersioningOverride) -> VersioningOverride:
    """An override in today's terms, as events have it."""
    if override.behavior == Behavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE:
        return VersioningOverride(auto_upgrade=True)
    return override


def refuse_pinned(override: VersioningOverride, workflow_id: str, task_queue: str) -> None:
    """No worker says yet that it is of a deployment's version, so there is none that a run could be pinned to."""
    kind = override.WhichOneof("override")
    if kind == "pinned" and not override.pinned.HasField("version"):
        why = f"workflow with id {workflow_id} has behavior Unspecified and is not yet pinned to any version"
        raise Rejection(Reason.FAILED_PRECONDITION, f"must specify a specific pinned override version because {why}")
    if kind == "auto_upgrade" or (kind is None and override.behavior != Behavior.VERSIONING_BEHAVIOR_PINNED):
        return
    text = f"Pinned version '{_version(override)}' is not present in task queue '{task_queue}' of type 'Workflow'"
    raise Rejection(Reason.FAILED_PRECONDITION, text)


def _version(override: VersioningOverride) -> str:
    if override.pinned_version:
        return override.pinned_version.replace(".", ":", 1)
    if override.HasField("deployment"):
        return f"{override.deployment.series_name}:{override.deployment.build_id}"
    version = override.pinned.version if override.HasField("pinned") else override.one_time.target_deployment_version
    return f"{version.deployment_name}:{version.build_id}"
