"""Workers as they describe themselves by heartbeats: kept in memory, forgotten when they fall silent."""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence

from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.worker.v1 import WorkerHeartbeat, WorkerInfo, WorkerListInfo
from temporalio.api.workflowservice import v1 as api

from services.errors import InvalidArgument, NotFound
from services.matching.settings import LiveSettings
from services.runtime import Clock

_CONDITION = re.compile(r"\s*(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*")
_STATUS_PREFIX = "WORKER_STATUS_"

_FIELDS: dict[str, Callable[[WorkerHeartbeat], str]] = {
    "WorkerInstanceKey": lambda h: h.worker_instance_key,
    "WorkerIdentity": lambda h: h.worker_identity,
    "HostName": lambda h: h.host_info.host_name,
    "TaskQueue": lambda h: h.task_queue,
    "DeploymentName": lambda h: h.deployment_version.deployment_name,
    "BuildId": lambda h: h.deployment_version.build_id,
    "SdkName": lambda h: h.sdk_name,
    "SdkVersion": lambda h: h.sdk_version,
    "Status": lambda h: WorkerStatus.Name(h.status).removeprefix(_STATUS_PREFIX).replace("_", "").lower(),
}


class Workers:
    """The latest heartbeat of each worker, and which workers have shut down."""

    def __init__(self, clock: Clock, settings: LiveSettings) -> None:
        self._clock, self._settings = clock, settings
        self._heard: OrderedDict[tuple[str, str], tuple[float, WorkerHeartbeat]] = OrderedDict()  # the latest last
        self._gone: OrderedDict[str, float] = OrderedDict()

    def record(self, namespace_id: str, heartbeats: Sequence[WorkerHeartbeat]) -> None:
        now = self._clock.monotonic()
        for heartbeat in heartbeats:
            key = namespace_id, heartbeat.worker_instance_key
            self._heard.pop(key, None)
            if heartbeat.status != WorkerStatus.WORKER_STATUS_SHUTDOWN:
                self._heard[key] = now, heartbeat
        while len(self._heard) > self._settings.now.workers_max:
            self._heard.popitem(last=False)

    def shut_down(self, namespace_id: str, request: api.ShutdownWorkerRequest) -> None:
        """From now on polls of this worker end at once: one may still be on its way."""
        if request.HasField("worker_heartbeat"):
            self.record(namespace_id, [request.worker_heartbeat])
        if request.worker_instance_key:
            self._gone[request.worker_instance_key] = self._clock.monotonic()

    def has_shut_down(self, worker_instance_key: str) -> bool:
        return bool(self._gone) and worker_instance_key in self._gone

    def forget_silent(self) -> None:
        horizon = self._clock.monotonic() - self._settings.now.worker_heartbeat_s
        while self._heard and next(iter(self._heard.values()))[0] < horizon:
            self._heard.popitem(last=False)
        while self._gone and next(iter(self._gone.values())) < horizon:
            self._gone.popitem(last=False)

    def describe(self, namespace_id: str, worker_instance_key: str) -> api.DescribeWorkerResponse:
        self.forget_silent()
        heard = self._heard.get((namespace_id, worker_instance_key))
        if heard is None:
            raise NotFound(f"Worker {worker_instance_key} not found")
        return api.DescribeWorkerResponse(worker_info=WorkerInfo(worker_heartbeat=heard[1]))

    def list(self, namespace_id: str, request: api.ListWorkersRequest) -> api.ListWorkersResponse:
        """One page by instance key. Raises InvalidArgument for a query or token it cannot read."""
        self.forget_silent()
        wanted, after = _conditions(request.query), _last_key(request.next_page_token)
        found = [
            heartbeat
            for (namespace, key), (_, heartbeat) in sorted(self._heard.items(), key=lambda item: item[0])
            if namespace == namespace_id and key > after and _matches(heartbeat, wanted)
        ]
        page = found[: request.page_size] if request.page_size > 0 else found
        response = api.ListWorkersResponse(workers=[_list_info(heartbeat) for heartbeat in page])
        for heartbeat in page:
            response.workers_info.add().worker_heartbeat.CopyFrom(heartbeat)
        if len(page) < len(found):
            response.next_page_token = json.dumps({"l": page[-1].worker_instance_key}, separators=(",", ":")).encode()
        return response


def _conditions(query: str) -> Sequence[tuple[str, str]]:
    if not query.strip():
        return []
    conditions = []
    for part in re.split(r"\sand\s", query, flags=re.IGNORECASE):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise InvalidArgument(f"malformed query: '{part.strip()}' is not Field = 'value', joined by AND")
        conditions.append((match[1], match[2] if match[2] is not None else match[3]))
    return conditions


def _matches(heartbeat: WorkerHeartbeat, conditions: Sequence[tuple[str, str]]) -> bool:
    for field, value in conditions:
        read = _FIELDS.get(field)
        if read is None or read(heartbeat) != (value.lower() if field == "Status" else value):
            return False
    return True


def _last_key(token: bytes) -> str:
    if not token:
        return ""
    try:
        return str(json.loads(token)["l"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument("invalid next_page_token") from error


def _list_info(heartbeat: WorkerHeartbeat) -> WorkerListInfo:
    info = WorkerListInfo(
        worker_instance_key=heartbeat.worker_instance_key,
        worker_identity=heartbeat.worker_identity,
        task_queue=heartbeat.task_queue,
        sdk_name=heartbeat.sdk_name,
        sdk_version=heartbeat.sdk_version,
        status=heartbeat.status,
        host_name=heartbeat.host_info.host_name,
        worker_grouping_key=heartbeat.host_info.worker_grouping_key,
        process_id=heartbeat.host_info.process_id,
        plugins=heartbeat.plugins,
        drivers=heartbeat.drivers,
    )
    if heartbeat.HasField("deployment_version"):
        info.deployment_version.CopyFrom(heartbeat.deployment_version)
    if heartbeat.HasField("start_time"):
        info.start_time.CopyFrom(heartbeat.start_time)
    return info
