"""Starts as history wants them: checked in the reference's order, and with defaults filled in."""

from collections.abc import MutableMapping

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.workflowservice import v1 as api

from services import cron
from services.config import limits
from services.errors import InvalidArgument
from services.frontend import checks, overrides
from services.frontend.backends import Backends
from services.frontend.callbacks import check_callbacks, links_of_callbacks
from services.namespaces import Namespace, complete_search_attributes, is_null, why_invalid_search_attributes

Conflict, Reuse = WorkflowIdConflictPolicy, WorkflowIdReusePolicy
Start = api.StartWorkflowExecutionRequest | api.SignalWithStartWorkflowExecutionRequest


class StartRules:
    """What a start may say. Every method raises InvalidArgument, or leaves the request ready for history."""

    def __init__(self, backends: Backends) -> None:
        self._config, self._namespaces, self._chance = backends.config, backends.namespaces, backends.chance

    async def start(self, request: api.StartWorkflowExecutionRequest, namespace_id: str) -> None:
        namespace = await self._namespaces.having(namespace_id, request.search_attributes.indexed_fields)
        id_max = self._config.get(limits.MAX_ID_LENGTH)
        _check_workflow_id(request.workflow_id, id_max)
        self._retry_policy(request, namespace)
        _check_delay(request)
        _check_cron(request.cron_schedule)
        if not request.workflow_type.name:
            raise InvalidArgument("WorkflowType is not set on request.")
        checks.length(request.workflow_type.name, id_max, "WorkflowType")
        checks.task_queue(request, id_max)
        _check_timeouts(request)
        checks.length(request.request_id, id_max, "RequestId")
        _check_policies(request, Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
        _check_conflict_options(request)
        self._search_attributes(request, namespace)
        checks.priority(request.priority)
        check_callbacks(request.completion_callbacks, self._config, namespace.name)
        self._rest(request, namespace)

    async def signal_with_start(self, request: api.SignalWithStartWorkflowExecutionRequest, namespace_id: str) -> None:
        namespace = await self._namespaces.having(namespace_id, request.search_attributes.indexed_fields)
        id_max = self._config.get(limits.MAX_ID_LENGTH)
        _check_cron(request.cron_schedule)
        _check_workflow_id(request.workflow_id, id_max)
        if not request.signal_name:
            raise InvalidArgument("signal not set")
        _check_length(request.signal_name, id_max, "signal name")
        if not request.workflow_type.name:
            raise InvalidArgument("workflow type not set")
        _check_length(request.workflow_type.name, id_max, "workflow type name")
        checks.task_queue(request, id_max)
        _check_length(request.request_id, id_max, "Request ID")
        _check_timeouts(request)
        self._retry_policy(request, namespace)
        _check_delay(request)
        _check_policies(request, Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
        if request.workflow_id_conflict_policy == Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL:
            raise InvalidArgument(
                "Invalid WorkflowIDConflictPolicy:"
                " WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation."
            )
        self._search_attributes(request, namespace)
        checks.priority(request.priority)
        checks.blob_size(request.signal_input, self._config.get(limits.BLOB_SIZE_ERROR, namespace.name))
        self._rest(request, namespace)

    def _retry_policy(self, request: Start, namespace: Namespace) -> None:
        if request.HasField("retry_policy"):
            defaults = self._config.get(limits.DEFAULT_WORKFLOW_RETRY, namespace.name)
            checks.retry_policy(request.retry_policy, defaults)

    def _search_attributes(self, request: Start, namespace: Namespace) -> None:
        if not request.HasField("search_attributes"):
            return
        wrong = why_invalid_search_attributes(request.search_attributes, namespace, self._config)
        if wrong:
            raise InvalidArgument(wrong)
        _drop_nulls(request.search_attributes.indexed_fields)
        complete_search_attributes(request.search_attributes, namespace)
        if not request.search_attributes.indexed_fields:
            request.ClearField("search_attributes")

    def _rest(self, request: Start, namespace: Namespace) -> None:
        """What comes last in both kinds of start."""
        links_max = self._config.get(limits.MAX_LINKS_PER_REQUEST, namespace.name)
        of_callbacks = links_of_callbacks(request)
        own = [link for link in request.links if link not in of_callbacks]  # what a callback says is not said twice
        request.ClearField("links")
        request.links.extend(own)
        checks.links(own + of_callbacks, links_max, self._config.get(limits.LINK_MAX_SIZE, namespace.name))
        checks.blob_size(request.input, self._config.get(limits.BLOB_SIZE_ERROR, namespace.name))
        if request.HasField("memo"):
            memo_max = self._config.get(limits.MEMO_SIZE_ERROR, namespace.name)
            checks.blob_size(request.memo, memo_max, "Memo size exceeds limit.")
            for name in [name for name, payload in request.memo.fields.items() if _is_no_entry(payload)]:
                del request.memo.fields[name]
            if not request.memo.fields:
                request.ClearField("memo")
        if request.HasField("versioning_override"):
            overrides.check(request.versioning_override)
        if not request.request_id:
            request.request_id = self._chance.unique_id()


def _is_no_entry(payload: Payload) -> bool:
    """What would delete an entry of a memo: no data, null, an empty list."""
    if not payload.data:
        return True
    return payload.metadata.get("encoding") == b"json/plain" and payload.data in (b"null", b"[]")


def _drop_nulls(fields: MutableMapping[str, Payload]) -> None:
    for name in [name for name, payload in fields.items() if is_null(payload)]:
        del fields[name]


def _check_policies(request: Start, conflict_default: WorkflowIdConflictPolicy.ValueType) -> None:
    """Fills in defaults and refuses contradictions. The deprecated terminate-if-running is said as it is today."""
    reuse, conflict = request.workflow_id_reuse_policy, request.workflow_id_conflict_policy
    if reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
        if conflict:
            raise InvalidArgument(
                "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING"
                " cannot be used together with a WorkflowIDConflictPolicy"
            )
        reuse = Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
        conflict = Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    if (
        conflict == Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
        and reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
    ):
        raise InvalidArgument(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"
            " cannot be used together with WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"
        )
    request.workflow_id_reuse_policy = reuse or Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    request.workflow_id_conflict_policy = conflict or conflict_default


def _check_workflow_id(workflow_id: str, length_max: int) -> None:
    if not workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    _check_length(workflow_id, length_max, "WorkflowId")


def _check_length(value: str, length_max: int, what: str) -> None:
    size = len(value.encode())
    if size > length_max:
        raise InvalidArgument(f"{what} exceeds maximum allowed length ({size}/{length_max})")


def _check_cron(schedule: str) -> None:
    why = cron.why_invalid(schedule)
    if why is not None:
        raise InvalidArgument(why)


def _check_delay(request: Start) -> None:
    if request.cron_schedule and request.HasField("workflow_start_delay"):
        raise InvalidArgument("CronSchedule and WorkflowStartDelay may not be used together.")
    checks.duration(request, "workflow_start_delay", "WorkflowStartDelaySeconds")


def _check_timeouts(request: Start) -> None:
    checks.duration(request, "workflow_execution_timeout", "WorkflowExecutionTimeoutSeconds")
    checks.duration(request, "workflow_run_timeout", "WorkflowRunTimeoutSeconds")
    checks.duration(request, "workflow_task_timeout", "WorkflowTaskTimeoutSeconds")


def _check_conflict_options(request: api.StartWorkflowExecutionRequest) -> None:
    options = request.on_conflict_options
    if options.attach_completion_callbacks and not options.attach_request_id:
        raise InvalidArgument("attaching request ID is required for attaching completion callbacks")
