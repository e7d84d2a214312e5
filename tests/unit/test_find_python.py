"""`scripts/find-python` picks the newest Python that really runs, and passes over shims that only pretend."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "find-python"
BROKEN = "echo 'command not found' >&2; exit 127"


def answering(version: str) -> str:
    return f"echo {version}"


def fake(path: Path, body: str) -> str:
    """Put a program there that does nothing but `body`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


class Machine:
    """What the script sees of a machine: the programs on PATH, and those of a version manager."""

    def __init__(self, directory: Path) -> None:
        self.path, self.pyenv, self._prefix = directory / "bin", directory / "pyenv", directory / "local"
        self.path.mkdir()

    def find(self) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.path), "PYENV_ROOT": str(self.pyenv), "PREFIX": str(self._prefix)}
        return subprocess.run([str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)

    def found(self) -> str:
        result = self.find()
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_is_picked(machine: Machine) -> None:
    fake(machine.path / "python3", answering("3.11"))
    for version in ("3.11", "3.12", "3.13"):
        newest = fake(machine.path / f"python{version}", answering(version))
        assert machine.found() == newest


def test_a_newer_one_of_the_version_manager_is_preferred_to_an_older_one_on_path(machine: Machine) -> None:
    fake(machine.path / "python3.12", answering("3.12"))
    newer = fake(machine.pyenv / "versions" / "3.13.0" / "bin" / "python", answering("3.13"))
    assert machine.found() == newer


def test_a_shim_that_does_not_run_is_passed_over(machine: Machine) -> None:
    fake(machine.path / "python3.13", BROKEN)
    fake(machine.path / "python3.12", BROKEN)
    works = fake(machine.path / "python3.11", answering("3.11"))
    assert machine.found() == works


def test_a_shim_that_runs_another_version_is_passed_over(machine: Machine) -> None:
    fake(machine.path / "python3.13", answering("3.9"))
    works = fake(machine.path / "python3", answering("3.12"))
    assert machine.found() == works


@pytest.mark.parametrize("version", ["3.10", "3.14", "2.7"])
def test_an_unsupported_version_is_refused_and_told(machine: Machine, version: str) -> None:
    fake(machine.path / "python3", answering(version))
    result = machine.find()
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("perdure: no Python 3.11, 3.12 or 3.13")
