"""What a configuration mistake looks like to the person who made it."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(ValueError):
    """A mistake in the configuration: the key (dotted path), what was found and what was expected."""

    def __init__(self, key: str, found: str, expected: str, *, source: str = "", line: int = 0) -> None:
        self.key, self.found, self.expected, self.source, self.line = key, found, expected, source, line
        place = f"{source}:{line}: " if source and line else f"{source}: " if source else ""
        super().__init__(f"{place}{key + ': ' if key else ''}found {found}, expected {expected}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to a misspelt one, capitals aside; None when nothing is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[matches[0]] if matches else None


def require(condition: bool, key: str, found: object, expected: str) -> None:
    """Refuse a value of `key` unless `condition` holds."""
    if not condition:
        raise ConfigError(key, str(found) if isinstance(found, int) else repr(found), expected)


def require_port(key: str, port: int) -> None:
    """Refuse what is no TCP port; 0 means none, or any."""
    require(0 <= port <= 65535, key, port, "a port from 0 to 65535")
