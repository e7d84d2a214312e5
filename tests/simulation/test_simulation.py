"""The simulation holds, repeats itself, and finds what is broken on purpose. Each run is a process of its own."""

import re
import subprocess
import sys

import pytest

from tests.simulation.breakages import BREAKAGES

SEEDS = 200
FOUND_WITHIN = 60  # seeds
LIMIT_S = 900
DIGEST = re.compile(r"^seed (\d+): (\w+) ", re.MULTILINE)


def simulate(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.simulation", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_nothing_is_lost_doubled_or_stuck_in_any_of_many_seeds() -> None:
    done = simulate("--seeds", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(DIGEST.findall(done.stdout)) == SEEDS


def test_a_seed_gives_the_same_trace_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = simulate("--seeds", "6", "--first", "31", "--jobs", "6")
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    alone = simulate("--seeds", "6", "--first", "31", "--jobs", "1")
    first, second = dict(DIGEST.findall(at_once.stdout)), dict(DIGEST.findall(alone.stdout))
    assert first == second
    assert len(set(first.values())) == 6, "different seeds give different traces"


@pytest.mark.parametrize("mistake", BREAKAGES)
def test_a_mistake_is_found(mistake: str) -> None:
    done = simulate("--seeds", str(FOUND_WITHIN), "--break", mistake, "--until-failure")
    assert done.returncode == 1, f"{mistake} was not found within {FOUND_WITHIN} seeds"
    assert f"FIRST_SEED={DIGEST.findall(done.stdout)[-1][0]} BREAK={mistake}" in done.stdout, "it says how to replay"
