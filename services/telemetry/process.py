"""The process's own numbers under the reference server's names, once for each service that runs in it.

The names are those of Go's runtime: tasks of the event loop stand for goroutines, memory blocks for heap objects,
resident memory for the heap.
"""

import asyncio
import gc
import platform
import resource
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from services.telemetry.metrics import Counter, Gauge, Histogram

SERVICE: Final = ("service_name",)
BUILD: Final = ("build_date", "build_platform", "build_version", "git_revision", "go_version", "service_name")
STATM: Final = Path("/proc/self/statm")

RESTARTS = Counter("restarts", SERVICE, "Starts of the service, one a process.")
TASKS = Gauge("num_goroutines", SERVICE, "Tasks of the event loop.")
CORES = Gauge("gomaxprocs", SERVICE, "CPU cores the process can use: one interpreter runs on one.")
MEMORY_ALLOCATED = Gauge("memory_allocated", SERVICE, "Resident memory in bytes.")
MEMORY_HEAP = Gauge("memory_heap", SERVICE, "Resident memory in bytes.")
MEMORY_HEAP_IN_USE = Gauge("memory_heapinuse", SERVICE, "Resident memory in bytes.")
MEMORY_OBJECTS = Gauge("memory_heap_objects", SERVICE, "Memory blocks that Python has allocated.")
COLLECTIONS = Gauge("memory_num_gc_last", SERVICE, "Garbage collections so far.")
COLLECTION_PAUSE = Histogram("memory_gc_pause_ms", SERVICE, "How long garbage collections took, in seconds.")
BUILD_INFORMATION = Gauge("build_information", BUILD, "Always 1; the labels tell what runs.")


def show_process(services: Iterable[str], loop: asyncio.AbstractEventLoop) -> None:
    """Shows the numbers of this process as those of `services`, which run in `loop`."""
    for service in services:
        labels = {"service_name": service}
        RESTARTS.bind(**labels).inc()
        TASKS.bind(**labels).read(lambda: len(asyncio.all_tasks(loop)))
        CORES.bind(**labels).set(1)
        for memory in (MEMORY_ALLOCATED, MEMORY_HEAP, MEMORY_HEAP_IN_USE):
            memory.bind(**labels).read(resident_bytes)
        MEMORY_OBJECTS.bind(**labels).read(sys.getallocatedblocks)
        COLLECTIONS.bind(**labels).read(lambda: sum(stats["collections"] for stats in gc.get_stats()))
        _observe_collections(service)
        BUILD_INFORMATION.bind(
            build_date="",
            build_platform=platform.machine(),
            build_version=version("perdure"),
            git_revision="",
            go_version=f"python{platform.python_version()}",
            service_name=service,
        ).set(1)


def resident_bytes() -> float:
    """The memory this process holds now; where the system does not say, the most it has held."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _observe_collections(service: str) -> None:
    pauses = COLLECTION_PAUSE.bind(service_name=service)
    began = 0.0

    def observe(phase: str, _info: dict[str, Any]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            pauses.observe(time.perf_counter() - began)

    gc.callbacks.append(observe)
