"""Differences we keep on purpose. A scenario listed here that agrees is an error: take it off the list."""

_CAPABILITIES = "capabilities of what is not built yet (schedules, Nexus, standalone activities, ...) are off"

_DELAYED = "the official server cannot pause a run whose first workflow task waits for a delay: an internal error"
_REPEATED = "a repeated signal-with-start finds the run that it made; the official server makes one more"
_TIMELESS = "the official server writes the withdrawn task's start without a time, and forgets the update that waits"
_ONCE = "the official server makes another run when a reset is asked again with its request id; here it is made once"
_TWICE = "the official server forgets the request ids of signals in a reset; here a repetition is no second signal"

KNOWN: dict[str, str] = {
    "namespace_default": _CAPABILITIES,
    "namespace_registered": _CAPABILITIES,
    "namespace_updated": _CAPABILITIES,
    "pause_delayed_start": _DELAYED,
    "pause_ends_within_delay": _DELAYED,
    "pause_waiting_update": _TIMELESS,
    "policies_signal_with_start_repeated_after_close": _REPEATED,
    "policies_terminate_by_signal_with_start_repeated": _REPEATED,
    "reapply_signals_known_by_id": _TWICE,
    "reset_asked_twice": _ONCE,
    "system_info": _CAPABILITIES,
}
"""Scenario -> why Perdure differs from the official server there."""
