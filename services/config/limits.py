"""The dynamic settings Perdure acts on: the reference server's keys, scopes and defaults. Sizes are in bytes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.config.allowed import AllowedAddresses
from services.config.settings import Scope, Setting

KIB, MIB = 1024, 1024 * 1024
_MS, _S = timedelta(milliseconds=1), timedelta(seconds=1)
_MIN, _H, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_NAMESPACE, _TASK_QUEUE = Scope.NAMESPACE, Scope.TASK_QUEUE


@dataclass(frozen=True, slots=True)
class RetryDefaults:
    """What a retry policy leaves open. The longest interval is this many times the first; 0 attempts is no limit."""

    initial_interval: timedelta = _S
    maximum_interval_coefficient: float = 100.0
    backoff_coefficient: float = 2.0
    maximum_attempts: int = 0

    @classmethod
    def parse(cls, value: Any) -> "RetryDefaults":
        """Read the reference's map; keys it lacks keep their defaults. ValueError on any other."""
        defaults = cls()
        try:
            given = {key.lower(): float(inner) for key, inner in value.items()}
            policy = cls(
                timedelta(seconds=given.pop("initialintervalinseconds", defaults.initial_interval.total_seconds())),
                given.pop("maximumintervalcoefficient", defaults.maximum_interval_coefficient),
                given.pop("backoffcoefficient", defaults.backoff_coefficient),
                int(given.pop("maximumattempts", defaults.maximum_attempts)),
            )
        except (TypeError, AttributeError, ValueError, OverflowError):
            given = {"": 0.0}
        if given:
            keys = "InitialIntervalInSeconds, MaximumIntervalCoefficient, BackoffCoefficient, MaximumAttempts"
            raise ValueError(f"a map of numbers: {keys}")
        return policy


# One value: inputs, results, signals, details, query arguments, memos, identifiers.
BLOB_SIZE_ERROR = Setting("limit.blobSize.error", 2 * MIB, _NAMESPACE)  # one blob; more is refused
BLOB_SIZE_WARN = Setting("limit.blobSize.warn", 512 * KIB, _NAMESPACE)  # one blob; more is logged
MEMO_SIZE_ERROR = Setting("limit.memoSize.error", 2 * MIB, _NAMESPACE)  # one memo; more is refused
MEMO_SIZE_WARN = Setting("limit.memoSize.warn", 2 * KIB, _NAMESPACE)  # one memo; more is logged
MAX_ID_LENGTH = Setting("limit.maxIDLength", 1000)  # bytes of a workflow, activity, timer, request id, type, identity
WORKER_BUILD_ID_SIZE = Setting("limit.workerBuildIdSize", 255)  # one build id
USER_METADATA_SUMMARY_SIZE = Setting("limit.userMetadataSummarySize", 400, _NAMESPACE)
USER_METADATA_DETAILS_SIZE = Setting("limit.userMetadataDetailsSize", 20_000, _NAMESPACE)
SEARCH_ATTRIBUTES_KEYS_LIMIT = Setting("frontend.searchAttributesNumberOfKeysLimit", 100, _NAMESPACE)  # keys of one run
SEARCH_ATTRIBUTES_VALUE_SIZE = Setting("frontend.searchAttributesSizeOfValueLimit", 2 * KIB, _NAMESPACE)  # one value
SEARCH_ATTRIBUTES_TOTAL_SIZE = Setting("frontend.searchAttributesTotalSizeLimit", 40 * KIB, _NAMESPACE)  # all of them
MAX_LINKS_PER_REQUEST = Setting("frontend.maxlinksPerRequest", 10, _NAMESPACE)  # links
LINK_MAX_SIZE = Setting("frontend.linkMaxSize", 4000, _NAMESPACE)  # one link
MAX_CALLBACKS_PER_WORKFLOW = Setting("system.maxCallbacksPerWorkflow", 32, _NAMESPACE)  # callbacks
MAX_CALLBACKS_PER_UPDATE_ID = Setting("system.maxCallbacksPerUpdateID", 32, _NAMESPACE)  # callbacks
MAX_CALLBACKS_PER_EXECUTION = Setting("callback.maxPerExecution", 2000, _NAMESPACE)  # callbacks, of a workflow
CALLBACK_ALLOWED = Setting("callback.allowedAddresses", AllowedAddresses(), _NAMESPACE, AllowedAddresses.parse)
CALLBACK_TIMEOUT = Setting("callback.request.timeout", 10 * _S, Scope.DESTINATION)  # of one call
CALLBACK_RETRY_INITIAL = Setting("callback.retryPolicy.initialInterval", _S)
CALLBACK_RETRY_MAX = Setting("callback.retryPolicy.maxInterval", _H)
CALLBACK_URL_MAX_LENGTH = Setting("frontend.callbackURLMaxLength", 1000, _NAMESPACE)  # one URL
CALLBACK_HEADER_MAX_SIZE = Setting("frontend.callbackHeaderMaxLength", 8 * KIB, _NAMESPACE)  # all headers of a callback
ENDPOINT_NAME_MAX_LENGTH = Setting("limit.endpointNameMaxLength", 200)  # a Nexus endpoint's name
ENDPOINT_DESCRIPTION_MAX_SIZE = Setting("limit.endpointDescriptionMaxSize", 20_000, _NAMESPACE)
ENDPOINT_URL_MAX_LENGTH = Setting("limit.endpointExternalURLMaxLength", 4 * KIB)
ENDPOINT_LIST_DEFAULT_PAGE = Setting("limit.endpointListDefaultPageSize", 100)  # endpoints
ENDPOINT_LIST_MAX_PAGE = Setting("limit.endpointListMaxPageSize", 1000)  # endpoints
SERVICE_ERROR_MESSAGE_MAX = Setting("system.maxServiceErrorMessageLength", 4000)  # an error's text; the rest is cut

# One run.
HISTORY_COUNT_ERROR = Setting("limit.historyCount.error", 50 * 1024, _NAMESPACE)  # events; more terminates the run
HISTORY_COUNT_WARN = Setting("limit.historyCount.warn", 10 * 1024, _NAMESPACE)  # events
HISTORY_COUNT_SUGGEST_CAN = Setting("limit.historyCount.suggestContinueAsNew", 4 * 1024, _NAMESPACE)  # events
HISTORY_SIZE_ERROR = Setting("limit.historySize.error", 50 * MIB, _NAMESPACE)  # more terminates the run
HISTORY_SIZE_WARN = Setting("limit.historySize.warn", 10 * MIB, _NAMESPACE)
HISTORY_SIZE_SUGGEST_CAN = Setting("limit.historySize.suggestContinueAsNew", 4 * MIB, _NAMESPACE)
MUTABLE_STATE_SIZE_ERROR = Setting("limit.mutableStateSize.error", 8 * MIB)  # more terminates the run
MUTABLE_STATE_SIZE_WARN = Setting("limit.mutableStateSize.warn", 1 * MIB)
MUTABLE_STATE_FAILURE_ERROR = Setting("limit.mutableStateActivityFailureSize.error", 4 * KIB, _NAMESPACE)  # then cut
MUTABLE_STATE_FAILURE_WARN = Setting("limit.mutableStateActivityFailureSize.warn", 2 * KIB, _NAMESPACE)
TRANSACTION_SIZE_LIMIT = Setting("system.transactionSizeLimit", 4 * MIB)  # one write; more terminates the run
NUM_PENDING_ACTIVITIES = Setting("limit.numPendingActivities.error", 2000, _NAMESPACE)  # more fails the workflow task
NUM_PENDING_CHILDREN = Setting("limit.numPendingChildExecutions.error", 2000, _NAMESPACE)  # likewise
NUM_PENDING_SIGNALS = Setting("limit.numPendingSignals.error", 2000, _NAMESPACE)  # to others; likewise
NUM_PENDING_CANCEL_REQUESTS = Setting("limit.numPendingCancelRequests.error", 2000, _NAMESPACE)  # to others; likewise
MAX_NEXUS_OPERATIONS = Setting("component.nexusoperations.limit.operation.concurrency", 30, _NAMESPACE)  # pending
MAX_SIGNALS_PER_RUN = Setting("history.maximumSignalsPerExecution", 10_000, _NAMESPACE)  # received; more is refused
MAX_REQUEST_IDS_PER_RUN = Setting("history.maximumRequestIDsPerExecution", 25, _NAMESPACE)  # remembered
REQUEST_ID_MAX_AGE = Setting("history.requestIDMaxAge", 7 * _DAY, _NAMESPACE)  # how long remembered
MAX_BUFFERED_EVENTS = Setting("history.maximumBufferedEventsBatch", 100)  # events; more fails the workflow task
MAX_BUFFERED_EVENTS_SIZE = Setting("history.maximumBufferedEventsSizeInBytes", 2 * MIB)  # likewise
MAX_BUFFERED_QUERIES = Setting("history.MaxBufferedQueryCount", 1)  # queries that wait for a workflow task
MAX_IN_FLIGHT_UPDATES = Setting("history.maxInFlightUpdates", 10, _NAMESPACE)  # updates
MAX_IN_FLIGHT_UPDATE_SIZE = Setting("history.maxInFlightUpdatePayloads", 20 * MIB, _NAMESPACE)  # their payloads
MAX_TOTAL_UPDATES = Setting("history.maxTotalUpdates", 2000, _NAMESPACE)  # updates of one run
UPDATES_SUGGEST_CAN_RATIO = Setting("history.maxTotalUpdates.suggestContinueAsNewThreshold", 0.9, _NAMESPACE)
MAX_AUTO_RESET_POINTS = Setting("history.historyMaxAutoResetPoints", 20, _NAMESPACE)  # reset points
ENABLE_PARENT_CLOSE_POLICY = Setting("history.enableParentClosePolicy", True, _NAMESPACE)

# Workflow tasks, retries and identifiers used again.
DEFAULT_WORKFLOW_TASK_TIMEOUT = Setting("history.defaultWorkflowTaskTimeout", 10 * _S, _NAMESPACE)
WORKFLOW_TASK_HEARTBEAT_TIMEOUT = Setting("history.workflowTaskHeartbeatTimeout", 30 * _MIN, _NAMESPACE)
WORKFLOW_TASK_CRITICAL_ATTEMPT = Setting("history.workflowTaskCriticalAttempt", 10)  # attempt from which it is logged
WORKFLOW_TASK_RETRY_MAX_INTERVAL = Setting("history.workflowTaskRetryMaxInterval", 10 * _MIN)
SPECULATIVE_DISCARD_MAX_EVENTS = Setting("history.discardSpeculativeWorkflowTaskMaximumEventsCount", 10)  # events
PROBLEMS_FOR_SEARCH_ATTRIBUTE = Setting(  # workflow task failures in a row
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute", 5, _NAMESPACE
)
DEFAULT_ACTIVITY_RETRY = Setting("history.defaultActivityRetryPolicy", RetryDefaults(), _NAMESPACE, RetryDefaults.parse)
DEFAULT_WORKFLOW_RETRY = Setting("history.defaultWorkflowRetryPolicy", RetryDefaults(), _NAMESPACE, RetryDefaults.parse)
ENABLE_WORKFLOW_ID_REUSE_VALIDATION = Setting("history.enableWorkflowIdReuseStartTimeValidation", False, _NAMESPACE)
WORKFLOW_ID_REUSE_MIN_INTERVAL = Setting("history.workflowIdReuseMinimalInterval", _S, _NAMESPACE)
ALLOW_RESET_WITH_PENDING_CHILDREN = Setting("history.allowResetWithPendingChildren", True, _NAMESPACE)
ENABLE_EAGER_ACTIVITIES = Setting("system.enableActivityEagerExecution", True, _NAMESPACE)
ENABLE_WORKFLOW_PAUSE = Setting("frontend.WorkflowPauseEnabled", False, _NAMESPACE)
ENABLE_EAGER_WORKFLOW_START = Setting("system.enableEagerWorkflowStart", True, _NAMESPACE)
ENABLE_STICKY_QUERY = Setting("system.enableStickyQuery", True, _NAMESPACE)
ENABLE_CROSS_NAMESPACE_COMMANDS = Setting("system.enableCrossNamespaceCommands", False)
DISALLOW_QUERY = Setting("system.disallowQuery", False, _NAMESPACE)

# Long polls and pages.
MATCHING_LONG_POLL = Setting("matching.longPollExpirationInterval", _MIN, _TASK_QUEUE)  # a worker's poll for a task
HISTORY_LONG_POLL = Setting("history.longPollExpirationInterval", 20 * _S, _NAMESPACE)  # a wait for history, an update
ACTIVITY_LONG_POLL = Setting("activity.longPollTimeout", 20 * _S, _NAMESPACE)  # a wait for a standalone activity
ACTIVITY_LONG_POLL_BUFFER = Setting("activity.longPollBuffer", _S, _NAMESPACE)  # answered this long before the deadline
HISTORY_MAX_PAGE = Setting("limit.historyMaxPageSize", 256, _NAMESPACE)  # events; capped silently
FRONTEND_HISTORY_MAX_PAGE = Setting("frontend.historyMaxPageSize", 256, _NAMESPACE)  # events; capped silently
MATCHING_HISTORY_MAX_PAGE = Setting("matching.historyMaxPageSize", 256, _NAMESPACE)  # events in a workflow task
VISIBILITY_MAX_PAGE = Setting("frontend.visibilityMaxPageSize", 1000, _NAMESPACE)  # runs; capped silently

# Namespaces.
MIN_RETENTION_LOCAL = Setting("system.namespaceMinRetentionLocal", _H)  # shortest retention allowed
MIN_RETENTION_GLOBAL = Setting("system.namespaceMinRetentionGlobal", _DAY)  # of a global namespace
RETENTION_TIMER_JITTER = Setting("history.retentionTimerJitterDuration", 30 * _MIN)  # spreads deletions
NAMESPACE_CACHE_REFRESH = Setting("system.namespaceCacheRefreshInterval", 2 * _S)
FORCE_SEARCH_ATTRIBUTES_REFRESH = Setting("system.forceSearchAttributesCacheRefreshOnRead", False)
FORCE_NEXUS_ENDPOINT_REFRESH = Setting("system.forceNexusEndpointRefreshOnRead", False)
MAX_BAD_BINARIES = Setting("frontend.maxBadBinaries", 10, _NAMESPACE)  # binaries
MAX_WORKFLOW_RULES = Setting("frontend.maxWorkflowRulesPerNamespace", 10, _NAMESPACE)  # rules

# Rates a second (0 is no limit) and concurrency, per host unless global.
FRONTEND_RPS = Setting("frontend.rps", 2400)
FRONTEND_GLOBAL_RPS = Setting("frontend.globalRPS", 0)
NAMESPACE_RPS = Setting("frontend.namespaceRPS", 2400, _NAMESPACE)
NAMESPACE_BURST_RATIO = Setting("frontend.namespaceBurstRatio", 2.0, _NAMESPACE)  # burst over rate
GLOBAL_NAMESPACE_RPS = Setting("frontend.globalNamespaceRPS", 0, _NAMESPACE)
NAMESPACE_VISIBILITY_RPS = Setting("frontend.namespaceRPS.visibility", 10, _NAMESPACE)
NAMESPACE_VISIBILITY_BURST_RATIO = Setting("frontend.namespaceBurstRatio.visibility", 1.0, _NAMESPACE)
GLOBAL_NAMESPACE_VISIBILITY_RPS = Setting("frontend.globalNamespaceRPS.visibility", 0, _NAMESPACE)
REPLICATION_INDUCING_RPS = Setting("frontend.rps.namespaceReplicationInducingAPIs", 20)
NAMESPACE_REPLICATION_INDUCING_RPS = Setting("frontend.namespaceRPS.namespaceReplicationInducingAPIs", 1, _NAMESPACE)
NAMESPACE_REPLICATION_INDUCING_BURST_RATIO = Setting(
    "frontend.namespaceBurstRatio.namespaceReplicationInducingAPIs", 10.0, _NAMESPACE
)
NAMESPACE_LONG_CALLS = Setting("frontend.namespaceCount", 1200, _NAMESPACE)  # polls of one namespace at a time
GLOBAL_NAMESPACE_LONG_CALLS = Setting("frontend.globalNamespaceCount", 0, _NAMESPACE)
OPERATOR_RPS_RATIO = Setting("system.operatorRPSRatio", 0.2)  # share of every rate kept for operators
HISTORY_RPS = Setting("history.rps", 3000)
MATCHING_RPS = Setting("matching.rps", 1200)
FRONTEND_PERSISTENCE_QPS = Setting("frontend.persistenceMaxQPS", 2000)
HISTORY_PERSISTENCE_QPS = Setting("history.persistenceMaxQPS", 9000)
MATCHING_PERSISTENCE_QPS = Setting("matching.persistenceMaxQPS", 3000)
WORKER_PERSISTENCE_QPS = Setting("worker.persistenceMaxQPS", 500)
VISIBILITY_MAX_READ_QPS = Setting("system.visibilityPersistenceMaxReadQPS", 9000)
VISIBILITY_MAX_WRITE_QPS = Setting("system.visibilityPersistenceMaxWriteQPS", 9000)

# Task queues.
READ_PARTITIONS = Setting("matching.numTaskqueueReadPartitions", 4, _TASK_QUEUE)  # partitions that are polled
WRITE_PARTITIONS = Setting("matching.numTaskqueueWritePartitions", 4, _TASK_QUEUE)  # partitions tasks are added to
METRICS_BY_TASK_QUEUE = Setting("metrics.breakdownByTaskQueue", True, _TASK_QUEUE)  # a series for each queue
METRICS_BY_PARTITION = Setting("metrics.breakdownByPartition", True, _TASK_QUEUE)  # a series for each partition
PARTITION_DISPATCH_RATE = Setting("admin.matchingNamespaceTaskqueueToPartitionDispatchRate", 1000.0, _TASK_QUEUE)  # /s
NAMESPACE_DISPATCH_RATE = Setting("admin.matchingNamespaceToPartitionDispatchRate", 10_000.0, _NAMESPACE)  # per second
SYNC_MATCH_WAIT = Setting("matching.syncMatchWaitDuration", 200 * _MS, _TASK_QUEUE)  # before a task is stored
TASK_QUEUE_IDLE = Setting("matching.maxTaskQueueIdleTime", 5 * _MIN, _TASK_QUEUE)  # then a partition is unloaded
POLLER_HISTORY_TTL = Setting("matching.PollerHistoryTTL", 5 * _MIN, _NAMESPACE)  # how long a poller is remembered
QUERY_POLLER_WINDOW = Setting("matching.queryPollerUnavailableWindow", 20 * _S)  # with no poller, queries fail
GET_TASKS_BATCH = Setting("matching.getTasksBatchSize", 1000, _TASK_QUEUE)  # tasks read at a time
GET_TASKS_RELOAD_AT = Setting("matching.getTasksReloadAt", 100, _TASK_QUEUE)  # tasks left in memory
MAX_TASK_BATCH = Setting("matching.maxTaskBatchSize", 100, _TASK_QUEUE)  # tasks written at a time
MAX_TASK_DELETE_BATCH = Setting("matching.maxTaskDeleteBatchSize", 100, _TASK_QUEUE)  # tasks deleted at a time
TASK_DELETE_INTERVAL = Setting("matching.taskDeleteInterval", 15 * _S, _TASK_QUEUE)
OUTSTANDING_TASK_APPENDS = Setting("matching.outstandingTaskAppendsThreshold", 250, _TASK_QUEUE)  # then refused
FORWARDER_CHILDREN = Setting("matching.forwarderMaxChildrenPerNode", 20, _TASK_QUEUE)  # partitions under one
FORWARDER_OUTSTANDING_POLLS = Setting("matching.forwarderMaxOutstandingPolls", 1, _TASK_QUEUE)  # polls
FORWARDER_OUTSTANDING_TASKS = Setting("matching.forwarderMaxOutstandingTasks", 1, _TASK_QUEUE)  # tasks
FORWARDER_RATE = Setting("matching.forwarderMaxRatePerSecond", 10.0, _TASK_QUEUE)
BACKLOG_NEGLIGIBLE_AGE = Setting("matching.backlogNegligibleAge", 5 * _S, _TASK_QUEUE)  # younger is no backlog
PRIORITY_LEVELS = Setting("matching.priorityLevels", 5, _TASK_QUEUE)
MAX_FAIRNESS_OVERRIDES = Setting("matching.maxFairnessKeyWeightOverrides", 1000, _TASK_QUEUE)  # keys with a weight
MAX_DEPLOYMENTS = Setting("matching.maxDeployments", 100, _NAMESPACE)
MAX_VERSIONS_IN_DEPLOYMENT = Setting("matching.maxVersionsInDeployment", 100, _NAMESPACE)
MAX_TASK_QUEUES_IN_VERSION = Setting("matching.maxTaskQueuesInDeploymentVersion", 100, _NAMESPACE)
MAX_TASK_QUEUES_IN_DEPLOYMENT = Setting("matching.maxTaskQueuesInDeployment", 1000, _NAMESPACE)

# Connections and shutdown.
KEEP_ALIVE_MIN_TIME = Setting("frontend.keepAliveMinTime", 10 * _S)  # clients that ping more often are cut off
KEEP_ALIVE_WITHOUT_STREAM = Setting("frontend.keepAlivePermitWithoutStream", True)
KEEP_ALIVE_TIME = Setting("frontend.keepAliveTime", _MIN)
KEEP_ALIVE_TIMEOUT = Setting("frontend.keepAliveTimeout", 10 * _S)
KEEP_ALIVE_MAX_IDLE = Setting("frontend.keepAliveMaxConnectionIdle", 2 * _MIN)
KEEP_ALIVE_MAX_AGE = Setting("frontend.keepAliveMaxConnectionAge", 5 * _MIN)
KEEP_ALIVE_MAX_AGE_GRACE = Setting("frontend.keepAliveMaxConnectionAgeGrace", 70 * _S)
FRONTEND_SHUTDOWN_DRAIN = Setting("frontend.shutdownDrainDuration", 0 * _S)
FRONTEND_SHUTDOWN_FAIL_HEALTH = Setting("frontend.shutdownFailHealthCheckDuration", 0 * _S)
HISTORY_SHUTDOWN_DRAIN = Setting("history.shutdownDrainDuration", 0 * _S)
MATCHING_SHUTDOWN_DRAIN = Setting("matching.shutdownDrainDuration", 0 * _S)
SLOW_REQUEST_LOGGING = Setting("rpc.slowRequestLoggingThreshold", 5 * _S)
LOG_ALL_REQUEST_ERRORS = Setting("system.logAllReqErrors", False, _NAMESPACE)
MASK_INTERNAL_ERRORS = Setting("frontend.maskInternalErrorDetails", True, _NAMESPACE)  # clients see a reference only
ENABLE_SERVER_VERSION_CHECK = Setting("frontend.enableServerVersionCheck", True)  # Perdure calls nobody either way

# Batches and schedules.
MAX_BATCH_OPERATIONS = Setting("frontend.MaxConcurrentBatchOperationPerNamespace", 1, _NAMESPACE)  # running at a time
MAX_BATCH_EXECUTIONS = Setting("frontend.MaxExecutionCountBatchOperationPerNamespace", 1000, _NAMESPACE)  # listed runs
BATCHER_RPS = Setting("worker.batcherRPS", 50, _NAMESPACE)
BATCHER_CONCURRENCY = Setting("worker.batcherConcurrency", 5, _NAMESPACE)
SCHEDULER_START_RPS = Setting("worker.schedulerNamespaceStartWorkflowRPS", 30.0, _NAMESPACE)

SETTINGS: tuple[Setting[Any], ...] = tuple(value for value in list(vars().values()) if isinstance(value, Setting))
"""Every setting above."""
