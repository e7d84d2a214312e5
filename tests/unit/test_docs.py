"""What the documents list is what the code does."""

import re
from pathlib import Path

from services.config import Setting, limits
from tests.conformance.known import KNOWN

REPOSITORY = Path(__file__).parents[2]
SERVICES = REPOSITORY / "services"
NAME = re.compile(r"\blimits\.([A-Z][A-Z_]+)\b")
KEYS = {name: value.key for name, value in vars(limits).items() if isinstance(value, Setting)}


def document(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def settings_read(*rooms: Path) -> set[str]:
    """The keys of the settings that code in these rooms, or files, reads by name."""
    files = [file for room in rooms for file in ([room] if room.is_file() else room.rglob("*.py"))]
    names = {name for file in files for name in NAME.findall(file.read_text(encoding="utf-8"))}
    return {KEYS[name] for name in names}


def test_the_dynamic_settings_that_have_effect_are_listed() -> None:
    listed = dict(re.findall(r"^- `([\w.]+)`( \*)?", document("configuration.md"), re.MULTILINE))
    rooms = [room for room in SERVICES.iterdir() if room.is_dir() and room.name != "config"]
    assert sorted(listed) == sorted(settings_read(*rooms))
    at_start = {key for key in KEYS.values() if "keepAlive" in key}
    assert {key for key, mark in listed.items() if mark} == at_start


def test_the_known_differences_are_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", document("conformance.md"), re.MULTILINE)
    assert dict(listed) == KNOWN


def test_links_between_documents_lead_somewhere() -> None:
    documents = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").glob("*.md")]
    for path in documents:
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
