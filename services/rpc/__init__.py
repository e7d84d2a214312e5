"""How services meet: the client interfaces, the context a call travels with, and its carriers."""

from services.rpc.call import Call
from services.rpc.clients import AddTaskOutcome, HistoryClient, MatchingClient
from services.rpc.measured import answering, asking, in_process
from services.rpc.routing import Connect, Owners, Router, history_keys, matching_keys, shard_id_of
from services.rpc.stand_in import Send, ask, stand_in
from services.rpc.web import WebAnswer, WebError, post
from services.rpc.wire import HISTORY, HISTORY_SERVICE, MATCHING, MATCHING_SERVICE, Wire, queue_key

__all__ = [
    "HISTORY",
    "HISTORY_SERVICE",
    "MATCHING",
    "MATCHING_SERVICE",
    "AddTaskOutcome",
    "Call",
    "Connect",
    "HistoryClient",
    "MatchingClient",
    "Owners",
    "Router",
    "Send",
    "WebAnswer",
    "WebError",
    "Wire",
    "answering",
    "ask",
    "asking",
    "history_keys",
    "in_process",
    "matching_keys",
    "post",
    "queue_key",
    "shard_id_of",
    "stand_in",
]
