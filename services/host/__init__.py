"""One process: its services put together, served, and stopped without loss."""

from services.host.host import run

__all__ = ["run"]
