"""What the three worker programs share: their command line, their patience, and the line that says they poll."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RetryConfig
from temporalio.worker import Worker

# A server that is killed comes back within seconds: calls go on trying for a minute, often, instead of backing off.
PATIENT = RetryConfig(
    initial_interval_millis=50, max_interval_millis=400, max_elapsed_time_millis=60_000, max_retries=1000
)
CONNECT_AGAIN_SECONDS = 0.05


def command_line(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--address", required=True, help="HOST:PORT of the server")
    parser.add_argument("--task-queue", required=True)
    return parser


async def connect(address: str, data_converter: DataConverter = DataConverter.default) -> Client:
    """A client that rides over a server's restart; waits for the server as long as it takes."""
    while True:
        try:
            return await Client.connect(address, data_converter=data_converter, retry_config=PATIENT)
        except RuntimeError:  # what the SDK raises when nobody listens there
            await asyncio.sleep(CONNECT_AGAIN_SECONDS)


async def poll(
    client: Client,
    task_queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., object]],
) -> None:
    """Run a worker until SIGTERM; prints one line when it polls.

    It is begun anew when the SDK gives it up because the server cannot describe its namespace just then.
    """
    told_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_stop.set)
    while not told_to_stop.is_set():
        try:
            await _poll_once(client, task_queue, workflows, activities, told_to_stop)
        except RuntimeError as error:
            if "Worker validation failed" not in str(error):
                raise
            await asyncio.sleep(CONNECT_AGAIN_SECONDS)


async def _poll_once(
    client: Client,
    task_queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., object]],
    told_to_stop: asyncio.Event,
) -> None:
    with ThreadPoolExecutor(16) as executor:
        worker = Worker(
            client,
            task_queue=task_queue,
            workflows=workflows,
            activities=activities,
            activity_executor=executor,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        )
        async with worker:
            print(f"polling {task_queue}", flush=True)
            await told_to_stop.wait()
