"""Which addresses callbacks may call: the reference's list of patterns."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AddressRule:
    """Hosts (with their ports) that match; without `allow_insecure` only by https."""

    host: re.Pattern[str]
    allow_insecure: bool


@dataclass(frozen=True, slots=True)
class AllowedAddresses:
    """The rules, of which the first that matches a host decides. By default there is none."""

    rules: tuple[AddressRule, ...] = ()

    def matching(self, host: str) -> Iterator[AddressRule]:
        """The rules that speak of a host."""
        return (rule for rule in self.rules if rule.host.fullmatch(host))

    @classmethod
    def parse(cls, value: Any) -> "AllowedAddresses":
        """Reads a list of maps: a Pattern, where `*` is anything, and AllowInsecure. ValueError on any other value."""
        expected = ValueError("a list of maps: Pattern, AllowInsecure")
        if not isinstance(value, list):
            raise expected
        rules = []
        for entry in value:
            given = {str(key).lower(): inner for key, inner in entry.items()} if isinstance(entry, dict) else {}
            pattern, allow_insecure = given.pop("pattern", None), given.pop("allowinsecure", False)
            if not isinstance(pattern, str) or not pattern or not isinstance(allow_insecure, bool) or given:
                raise expected
            rules.append(AddressRule(re.compile(re.escape(pattern).replace(r"\*", ".*")), allow_insecure))
        return cls(tuple(rules))
