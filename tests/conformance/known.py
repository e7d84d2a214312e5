"""Differences we keep on purpose. A scenario listed here that agrees is an error: take it off the list."""

KNOWN: dict[str, str] = {}
"""Scenario -> why Perdure differs from the official server there."""
