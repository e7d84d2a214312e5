"""Hello world, once the guest's title is known."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from tests.apps.hello_encrypted.activities import Guest, compose_greeting


@workflow.defn
class HelloWorkflow:
    def __init__(self) -> None:
        self._title: str | None = None

    @workflow.run
    async def run(self, name: str) -> str:
        await workflow.wait_condition(lambda: self._title is not None)
        assert self._title is not None
        return await workflow.execute_activity(
            compose_greeting,
            Guest(self._title, name),
            start_to_close_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50)),
        )

    @workflow.signal
    def call_me(self, title: str) -> None:
        self._title = title

    @workflow.query
    def title(self) -> str | None:
        return self._title
