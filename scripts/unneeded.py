"""Prints the installed packages that Perdure does not need to run, one a line: what an image is made without."""

from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(name: str, seen: set[str]) -> set[str]:
    """Everything that `name` stands on, and itself."""
    if name not in seen:
        seen.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed(canonicalize_name(requirement.name), seen)
    return seen


if __name__ == "__main__":
    installed = {canonicalize_name(each.metadata["Name"]) for each in distributions()}
    print("\n".join(sorted(installed - needed("perdure", set()))))
