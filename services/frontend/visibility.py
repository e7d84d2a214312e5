"""Lists and counts of runs. Rows are passed through as the bytes the store keeps."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.filter.v1 import StartTimeFilter
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import InvalidArgument
from services.frontend.backends import Backends
from services.frontend.metrics import listed
from services.persistence import InvalidQuery, SearchAttributeTypes, UnknownAttribute
from services.rpc import Call

# Field numbers are the same in the four list responses.
_EXECUTIONS = api.ListWorkflowExecutionsResponse.EXECUTIONS_FIELD_NUMBER
_NEXT_PAGE_TOKEN = api.ListWorkflowExecutionsResponse.NEXT_PAGE_TOKEN_FIELD_NUMBER
_BYTES_FIELD = 2

T = TypeVar("T")
Listed = api.ListOpenWorkflowExecutionsRequest | api.ListClosedWorkflowExecutionsRequest


class Visibility:
    """ListWorkflowExecutions and its older kin, CountWorkflowExecutions."""

    def __init__(self, backends: Backends) -> None:
        self._store, self._config, self._namespaces = backends.visibility, backends.config, backends.namespaces

    async def list_workflow_executions(self, call: Call, request: api.ListWorkflowExecutionsRequest) -> bytes:
        return await self._list(call, request.query, request.page_size, request.next_page_token)

    async def scan_workflow_executions(self, call: Call, request: api.ScanWorkflowExecutionsRequest) -> bytes:
        return await self._list(call, request.query, request.page_size, request.next_page_token)

    async def list_open_workflow_executions(self, call: Call, request: api.ListOpenWorkflowExecutionsRequest) -> bytes:
        query = " AND ".join(["ExecutionStatus = 'Running'", *_conditions(request, "StartTime")])
        return await self._list(call, query, request.maximum_page_size, request.next_page_token)

    async def list_closed_workflow_executions(
        self, call: Call, request: api.ListClosedWorkflowExecutionsRequest
    ) -> bytes:
        conditions = ["ExecutionStatus != 'Running'", *_conditions(request, "CloseTime")]
        if request.HasField("status_filter"):
            status = request.status_filter.status
            if status in (Status.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED, Status.WORKFLOW_EXECUTION_STATUS_RUNNING):
                raise InvalidArgument("StatusFilter must be specified and must be not Running.")
            conditions[0] = f"ExecutionStatus = '{status_name(status)}'"
        query = " AND ".join(conditions)
        return await self._list(call, query, request.maximum_page_size, request.next_page_token)

    async def list_archived_workflow_executions(
        self, _call: Call, _request: api.ListArchivedWorkflowExecutionsRequest
    ) -> NoReturn:
        raise InvalidArgument("Cluster is not configured for visibility archival.")

    async def count_workflow_executions(
        self, call: Call, request: api.CountWorkflowExecutionsRequest
    ) -> api.CountWorkflowExecutionsResponse:
        groups = await self._ask(
            call, lambda types: self._store.count_visibility(call.namespace_id, request.query, types)
        )
        response = api.CountWorkflowExecutionsResponse(count=sum(count for _, count in groups))
        for values, count in sorted(groups, key=lambda group: [_STATUS_ORDER.get(str(value), 0) for value in group[0]]):
            if values:
                response.groups.add(group_values=[_keyword(value) for value in values], count=count)
        return response

    async def _list(self, call: Call, query: str, page_size: int, token: bytes) -> bytes:
        most = self._config.get(limits.VISIBILITY_MAX_PAGE, call.namespace)
        size = page_size if 0 < page_size <= most else most
        listed(call.namespace, query)
        records, next_token = await self._ask(
            call, lambda types: self._store.list_visibility(call.namespace_id, query, types, size, token)
        )
        parts = [_field(_EXECUTIONS, record.blob) for record in records]
        if next_token:
            parts.append(_field(_NEXT_PAGE_TOKEN, next_token))
        return b"".join(parts)

    async def _ask(self, call: Call, ask: Callable[[SearchAttributeTypes], Awaitable[T]]) -> T:
        """What the store says, with attributes that another host may just have added. Raises InvalidArgument."""
        by_id = self._namespaces.by_id
        try:
            try:
                return await ask(by_id(call.namespace_id).search_attribute_types)
            except UnknownAttribute:
                await self._namespaces.look_again()
                return await ask(by_id(call.namespace_id).search_attribute_types)
        except InvalidQuery as error:
            raise InvalidArgument(str(error)) from error


def _conditions(request: Listed, time_attribute: str) -> Sequence[str]:
    """The deprecated lists' filters in the language of the new one."""
    conditions: list[str] = []
    if request.HasField("start_time_filter"):
        conditions += _times(request.start_time_filter, time_attribute)
    if request.HasField("execution_filter"):
        conditions.append(f"WorkflowId = {_quoted(request.execution_filter.workflow_id)}")
        if request.execution_filter.run_id:
            conditions.append(f"RunId = {_quoted(request.execution_filter.run_id)}")
    if request.HasField("type_filter"):
        conditions.append(f"WorkflowType = {_quoted(request.type_filter.name)}")
    return conditions


def _times(given: StartTimeFilter, attribute: str) -> Sequence[str]:
    earliest, latest = given.earliest_time, given.latest_time
    bounded = given.HasField("earliest_time") and given.HasField("latest_time")
    if bounded and earliest.ToNanoseconds() > latest.ToNanoseconds():
        raise InvalidArgument("EarliestTime in StartTimeFilter should not be larger than LatestTime.")
    conditions = []
    if given.HasField("earliest_time"):
        conditions.append(f"{attribute} >= '{earliest.ToJsonString()}'")
    if given.HasField("latest_time"):
        conditions.append(f"{attribute} <= '{latest.ToJsonString()}'")
    return conditions


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def status_name(status: int) -> str:
    """A status as lists write it: `ContinuedAsNew`."""
    name = Status.Name(Status.ValueType(status)).removeprefix("WORKFLOW_EXECUTION_STATUS_")
    return "".join(part.title() for part in name.split("_"))


# Stores count in any order.
_STATUS_ORDER = {status_name(status): status for status in Status.values()}


def _keyword(value: object) -> Payload:
    text = status_name(value) if isinstance(value, int) else str(value)
    return Payload(metadata={"encoding": b"json/plain", "type": b"Keyword"}, data=json.dumps(text).encode())


def _field(number: int, blob: bytes) -> bytes:
    """One length-delimited field on the wire."""
    size, prefix = len(blob), bytearray((number << 3 | _BYTES_FIELD,))
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + blob
