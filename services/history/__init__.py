"""The engine: shards, workflow state machines, transactions, timers and the outbox."""

from services.history.engine import Home
from services.history.service import HistoryService

__all__ = ["HistoryService", "Home"]
