"""Differences we keep on purpose. A scenario listed here that agrees is an error: take it off the list."""

_CAPABILITIES = "capabilities of what is not built yet (schedules, Nexus, standalone activities, ...) are off"

KNOWN: dict[str, str] = {
    "namespace_default": _CAPABILITIES,
    "namespace_registered": _CAPABILITIES,
    "namespace_updated": _CAPABILITIES,
    "system_info": _CAPABILITIES,
}
"""Scenario -> why Perdure differs from the official server there."""
