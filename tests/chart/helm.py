"""Real helm: what it says of the chart, and what it makes of it."""

import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.processes import REPOSITORY

CHART = REPOSITORY / "charts" / "perdure"
VERSIONS = ("3.17.2", "4.2.3")
SECONDS_MAX = 30

# A manifest, or a part of one: plain YAML.
Object = dict[str, Any]


class HelmError(Exception):
    """Helm refused; the text is what it said."""


@cache
def install() -> None:
    subprocess.run([REPOSITORY / "scripts" / "helm"], check=True, stdin=subprocess.DEVNULL)


def helm(version: str, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
    """What helm prints; raises HelmError."""
    install()
    with tempfile.TemporaryDirectory() as home:
        command = [str(REPOSITORY / ".cache" / "helm" / version / "helm"), *arguments]
        if values is not None:
            file = Path(home) / "values.yaml"
            file.write_text(yaml.safe_dump(values), encoding="utf-8")
            command += ["--values", str(file)]
        done = subprocess.run(
            command,
            env={"HOME": home},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def render(
    values: Mapping[str, Any],
    version: str = VERSIONS[-1],
    *,
    release: str = "perdure",
    namespace: str = "default",
    upgrade: bool = False,
) -> list[Object]:
    """The objects that a release with these values consists of."""
    flags = ["--is-upgrade"] if upgrade else []
    text = helm(version, "template", release, str(CHART), "--namespace", namespace, *flags, values=values)
    return [each for each in yaml.safe_load_all(text) if each is not None]
