"""How services meet: the client interfaces, the context a call travels with, and its carriers."""

from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, HistoryClient, MatchingClient

__all__ = ["AddTaskOutcome", "Call", "HistoryClient", "MatchingClient"]
