"""What workers ask for: tasks, and to be known."""

from temporalio.api.common.v1 import WorkerVersionCapabilities
from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.enums.v1 import DescribeTaskQueueMode, WorkerVersioningMode
from temporalio.api.workflowservice import v1 as api

from services.config import limits
from services.errors import FailedPrecondition, InvalidArgument
from services.frontend import checks
from services.frontend.backends import Backends
from services.frontend.task_queues import described_by_build
from services.rpc import Call

DEADLINE_S_MIN = 2.0
# A caller's two seconds are a little less when they arrive here.
DEADLINE_SLACK_S = 0.2
_VERSIONED = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED


class Polls:
    """Polls of task queues; workers that come, beat and go; what task queues are and have."""

    def __init__(self, backends: Backends) -> None:
        self._matching, self._config, self._clock = backends.matching, backends.config, backends.clock

    async def poll_workflow_task_queue(self, call: Call, request: api.PollWorkflowTaskQueueRequest) -> bytes:
        self._check(call, request)
        return await self._matching.poll_workflow_task_queue(call, request)

    async def poll_activity_task_queue(self, call: Call, request: api.PollActivityTaskQueueRequest) -> bytes:
        self._check(call, request)
        return await self._matching.poll_activity_task_queue(call, request)

    def _check(self, call: Call, request: api.PollWorkflowTaskQueueRequest | api.PollActivityTaskQueueRequest) -> None:
        if call.deadline is None:
            raise InvalidArgument("Context timeout is not set.")
        if call.deadline - self._clock.monotonic() < DEADLINE_S_MIN - DEADLINE_SLACK_S:
            raise FailedPrecondition("Context timeout is too short.")
        id_max = self._config.get(limits.MAX_ID_LENGTH)
        checks.length(request.identity, id_max, "Identity")
        if request.HasField("worker_version_capabilities"):
            self._check_version(request.worker_version_capabilities)
        if request.HasField("deployment_options"):
            _check_deployment(request.deployment_options)
        checks.task_queue(request, id_max)

    def _check_version(self, version: WorkerVersionCapabilities) -> None:
        if len(version.build_id) > self._config.get(limits.WORKER_BUILD_ID_SIZE):
            raise InvalidArgument("Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.")
        if version.use_versioning and not version.build_id:
            raise InvalidArgument("WorkerVersionStamp must be present if UseVersioning is true.")

    async def shutdown_worker(self, call: Call, request: api.ShutdownWorkerRequest) -> None:
        await self._matching.shutdown_worker(call, request)

    async def record_worker_heartbeat(self, call: Call, request: api.RecordWorkerHeartbeatRequest) -> None:
        await self._matching.record_worker_heartbeat(call, request)

    async def list_workers(self, call: Call, request: api.ListWorkersRequest) -> api.ListWorkersResponse:
        return await self._matching.list_workers(call, request)

    async def describe_worker(self, call: Call, request: api.DescribeWorkerRequest) -> api.DescribeWorkerResponse:
        return await self._matching.describe_worker(call, request)

    async def describe_task_queue(
        self, call: Call, request: api.DescribeTaskQueueRequest
    ) -> api.DescribeTaskQueueResponse:
        checks.task_queue(request, self._config.get(limits.MAX_ID_LENGTH), reserved=True)
        if request.api_mode == DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED:
            return await described_by_build(self._matching, call, request)
        return await self._matching.describe_task_queue(call, request)

    async def list_task_queue_partitions(
        self, call: Call, request: api.ListTaskQueuePartitionsRequest
    ) -> api.ListTaskQueuePartitionsResponse:
        checks.task_queue(request, self._config.get(limits.MAX_ID_LENGTH))
        return await self._matching.list_task_queue_partitions(call, request)


def _check_deployment(options: WorkerDeploymentOptions) -> None:
    if options.worker_versioning_mode == _VERSIONED and not (options.deployment_name and options.build_id):
        raise InvalidArgument("Deployment name and build id must be set together.")
