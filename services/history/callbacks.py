"""The calls of completion callbacks: outbox tasks of closed runs, each repeated until its answer is written."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from services.config import limits
from services.errors import NotFound, Unavailable
from services.history.breakers import CircuitBreakers
from services.history.cache import RunEntry, WorkflowEntry
from services.history.core.callbacks import Attempt, State, end_attempt, end_backoff
from services.history.core.draft import Draft
from services.history.engine import Engine
from services.history.outbox import Key
from services.history.outcomes import completion
from services.history.shard import Shard
from services.protos.run_pb2 import Callback, Task
from services.rpc import WebAnswer, WebError

Post = Callable[[str, Mapping[str, str], bytes, float], Awaitable[WebAnswer]]  # url, headers, body, seconds

SYSTEM_URL = "temporal://system"
# What Nexus calls an answer, and whether another try may help unless the answer's header says otherwise.
HANDLER_ERRORS = {
    400: ("BAD_REQUEST", False),
    401: ("UNAUTHENTICATED", False),
    403: ("UNAUTHORIZED", False),
    404: ("NOT_FOUND", False),
    408: ("REQUEST_TIMEOUT", True),
    409: ("CONFLICT", False),
    429: ("RESOURCE_EXHAUSTED", True),
    500: ("INTERNAL", True),
    501: ("NOT_IMPLEMENTED", False),
    503: ("UNAVAILABLE", True),
    520: ("UPSTREAM_TIMEOUT", True),
}
RETRYABLE = "nexus-request-retryable"


class CallbackCaller:
    """Calls whom runs have registered, by `post`. A callback that was called and not written is called again."""

    def __init__(self, engine: Engine, post: Post) -> None:
        self._engine, self._post, self._breakers = engine, post, CircuitBreakers(engine.clock)

    async def call(self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry) -> bool:
        """Makes one attempt and writes how it ended."""
        number = task.event_id
        callback = entry.run.callbacks[number]
        if callback.state != State.CALLBACK_STATE_SCHEDULED:
            return True
        attempt = await self._attempt(workflow, entry, callback)
        await self._change(task, lambda draft: end_attempt(draft, number, attempt, callback.attempt))
        return True

    async def end_backoff(self, shard: Shard, key: Key, task: Task, workflow: WorkflowEntry, entry: RunEntry) -> bool:
        """Files the next attempt."""
        await self._change(task, lambda draft: end_backoff(draft, task.event_id, task.stamp))
        return True

    async def _change(self, task: Task, decide: Callable[[Draft], None]) -> None:
        try:
            await self._engine.change(task.namespace_id, task.workflow_id, task.run_id, decide)
        except NotFound:  # deleted meanwhile
            return

    async def _attempt(self, workflow: WorkflowEntry, entry: RunEntry, callback: Callback) -> Attempt:
        url = callback.callback.nexus.url
        if url == SYSTEM_URL:  # nobody here has given out a token for one
            return Attempt("handler error (BAD_REQUEST): invalid callback token")
        namespace = self._engine.namespaces.by_id(workflow.namespace_id).name
        close = await self._engine.event(workflow, entry, entry.run.info.close_event_id)
        headers, body = completion(namespace, entry.run, close, callback)
        destination = urlsplit(url).netloc
        if not self._breakers.may_call(destination):
            raise Unavailable(f"{destination} has failed too often and is left alone for a while")
        timeout = self._engine.config.get(limits.CALLBACK_TIMEOUT, namespace, destination=destination)
        try:
            attempt = judge(await self._post(url, headers, body, timeout.total_seconds()))
        except WebError as error:
            attempt = Attempt(str(error), retryable=True)
        self._breakers.note(destination, failed=attempt.retryable)
        return attempt


def judge(answer: WebAnswer) -> Attempt:
    """What an answer makes of an attempt."""
    if 200 <= answer.status < 300:
        return Attempt()
    if answer.status not in HANDLER_ERRORS:
        return Attempt(f'unexpected response status: "{answer.status} {answer.reason}"', retryable=True)
    name, retryable = HANDLER_ERRORS[answer.status]
    told = answer.headers.get(RETRYABLE, "").lower()
    return Attempt(f"handler error ({name})", told == "true" if told in ("true", "false") else retryable)
