"""`make demo` shows what it promises."""

from __future__ import annotations

import subprocess
import sys

from tests.processes import REPOSITORY


def test_demo_survives_the_kill() -> None:
    shown = subprocess.run(
        [sys.executable, "scripts/demo.py"], cwd=REPOSITORY, capture_output=True, text=True, timeout=90, check=False
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    told = [
        "not yet deposited: Ada has 70.00, Grace has 0.00",
        "killed the server with SIGKILL",
        "the transfer is completed: Ada has 70.00, Grace has 30.00",
        "history of transfer/withdraw",
        "history of transfer/deposit",
    ]
    places = [shown.stdout.find(text) for text in told]
    assert -1 not in places, shown.stdout
    assert places == sorted(places), shown.stdout
    assert shown.stdout.count("WorkflowExecutionCompleted") == 5, "three of their own, two of children in the parent"
