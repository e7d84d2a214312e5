"""Who polled a queue lately, for describes."""

from collections import OrderedDict
from collections.abc import Sequence

from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice import v1 as api

from services.matching.settings import LiveSettings

PollRequest = api.PollWorkflowTaskQueueRequest | api.PollActivityTaskQueueRequest
RATE_UNLIMITED = 100_000.0  # what the reference shows for a poller that set no rate
POLLERS_MAX = 1000  # identities remembered per queue


class PollerHistory:
    """The latest poll of each identity, the latest last, forgotten after a time."""

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._polls: OrderedDict[str, tuple[int, PollRequest]] = OrderedDict()

    def saw(self, request: PollRequest, now_ns: int) -> None:
        self._polls.pop(request.identity, None)
        self._polls[request.identity] = now_ns, request
        if len(self._polls) > POLLERS_MAX:
            self._polls.popitem(last=False)

    def pollers(self, now_ns: int) -> Sequence[PollerInfo]:
        horizon_ns = now_ns - int(self._settings.now.poller_history_s * 1e9)
        while self._polls and next(iter(self._polls.values()))[0] < horizon_ns:
            self._polls.popitem(last=False)
        return [_poller_info(at_ns, request) for at_ns, request in reversed(self._polls.values())]


def requested_rate(request: PollRequest) -> float | None:
    """The dispatch rate an activity poller asks for the whole queue."""
    if isinstance(request, api.PollActivityTaskQueueRequest) and request.task_queue_metadata.HasField(
        "max_tasks_per_second"
    ):
        return request.task_queue_metadata.max_tasks_per_second.value
    return None


def _poller_info(at_ns: int, request: PollRequest) -> PollerInfo:
    rate = requested_rate(request)
    info = PollerInfo(identity=request.identity, rate_per_second=RATE_UNLIMITED if rate is None else rate)
    info.last_access_time.FromNanoseconds(at_ns)
    if request.HasField("worker_version_capabilities"):
        info.worker_version_capabilities.CopyFrom(request.worker_version_capabilities)
    if request.HasField("deployment_options"):
        info.deployment_options.CopyFrom(request.deployment_options)
    return info
