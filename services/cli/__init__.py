"""The `perdure` command."""

from services.cli.command import main

__all__ = ["main"]
