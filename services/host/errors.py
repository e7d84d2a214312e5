"""Why a process cannot serve."""


class CannotStart(Exception):
    """In one line for whoever started it. Nothing was changed."""
