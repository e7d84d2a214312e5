"""`make cluster` and `make cluster-stop`: a real cluster on this machine, on loopback, data in .data/cluster."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import psutil

from tests.parts.cluster import Cluster, StoreName

DIRECTORY = Path(".data/cluster").absolute()
PID, READY, LOG = DIRECTORY / "cluster.pid", DIRECTORY / "addresses", DIRECTORY / "cluster.log"
STOP_SECONDS_MAX = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "hold"))
    parser.add_argument("--store", choices=get_args(StoreName), default="cassandra")
    parser.add_argument("--shards", default="512")
    parser.add_argument("--port", type=int, default=7233, help="of the first frontend")
    options = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if options.action == "stop":
        return stop()
    if options.action == "hold":
        return hold(options)
    return start(sys.argv[2:])


def start(flags: list[str]) -> int:
    """Leaves a process behind that holds the cluster, and returns when it serves."""
    if _holder() is not None:
        print(f"perdure: a cluster runs already:\n{READY.read_text()}")
        return 1
    READY.unlink(missing_ok=True)
    with LOG.open("ab") as log:
        command = [sys.executable, "-m", "scripts.cluster", "hold", *flags]
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    PID.write_text(str(holder.pid))
    while not READY.exists():
        if holder.poll() is not None:
            print(f"perdure: the cluster did not start:\n{LOG.read_text()[-2000:]}", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(READY.read_text(), end="")
    return 0


def hold(options: argparse.Namespace) -> int:
    """Runs the cluster until it is told to stop."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stopped.append(number))
    settings = {"NUM_HISTORY_SHARDS": options.shards}
    with Cluster(DIRECTORY, store=options.store, settings=settings, port=options.port) as cluster:
        lines = [f"{host.name:12} {host.address}   metrics on port {host.metrics_port}" for host in cluster.hosts]
        lines += [f"{'zookeeper':12} {cluster.zookeeper.address}", f"{options.store:12} {cluster.store.address}"]
        partial = READY.with_suffix(".new")
        partial.write_text("\n".join([*lines, f"logs and data in {DIRECTORY}; make cluster-stop ends it", ""]))
        partial.rename(READY)
        while not stopped:
            signal.pause()
        cluster.stop()
    return 0


def stop() -> int:
    holder = _holder()
    if holder is None:
        print("perdure: no cluster runs")
        return 0
    os.kill(holder.pid, signal.SIGTERM)
    holder.wait(STOP_SECONDS_MAX)
    PID.unlink(missing_ok=True)
    READY.unlink(missing_ok=True)
    return 0


def _holder() -> psutil.Process | None:
    try:
        process = psutil.Process(int(PID.read_text()))
        return process if "scripts.cluster" in process.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


if __name__ == "__main__":
    sys.exit(main())
