"""Where each thing is in the table `shard`: a kind and a key, ordered as it is read.

SHARD    ""                                     the shard itself: always there, so the first row is never a dead one
CURRENT  namespace id, 0, workflow id           which run a workflow id means
RUN      run id, 0                              a run;  with an item's kind and id after it: one entry of its maps
HISTORY  run id, 0, first event id              a batch, or where it is
tasks    fire time, task id                     the outbox, a kind for each category
"""

from services.persistence.interface import ItemKind, TaskCategory

SHARD = 0
CURRENT = 1
RUN = 2
HISTORY = 3
TASK_KINDS = {TaskCategory.IMMEDIATE: 4, TaskCategory.TIMER: 5, TaskCategory.VISIBILITY: 6}

NUMBER_BYTES = 8
SIGN = 2**63  # added to numbers, so that bytes order as they do

SHARD_KEY = b""


def current_key(namespace_id: str, workflow_id: str) -> bytes:
    return f"{namespace_id}\0{workflow_id}".encode()


def run_key(run_id: str) -> bytes:
    return f"{run_id}\0".encode()


def end_of(run_key: bytes) -> bytes:
    """After all that begins with it."""
    return run_key[:-1] + b"\1"


def item_key(run_key: bytes, kind: ItemKind, item_id: str) -> bytes:
    return run_key + bytes((kind,)) + item_id.encode()


def item_of(run_key: bytes, key: bytes) -> tuple[ItemKind, str]:
    at = len(run_key)
    return ItemKind(key[at]), key[at + 1 :].decode()


def history_key(run_id: str, first_event_id: int) -> bytes:
    return run_key(run_id) + _number(first_event_id)


def first_event_id_of(key: bytes) -> int:
    return int.from_bytes(key[-NUMBER_BYTES:], "big") - SIGN


def task_key(fire_time_ns: int, task_id: int) -> bytes:
    return _number(fire_time_ns) + _number(task_id)


def before_fire_time(fire_time_ns: int) -> bytes:
    """In front of all tasks of that time or later."""
    return _number(fire_time_ns)


def task_of(key: bytes) -> tuple[int, int]:
    """Fire time and task id."""
    return int.from_bytes(key[:NUMBER_BYTES], "big") - SIGN, int.from_bytes(key[NUMBER_BYTES:], "big") - SIGN


def before(task_key: bytes) -> bytes:
    """The last place in front of it."""
    return (int.from_bytes(task_key, "big") - 1).to_bytes(len(task_key), "big")


def _number(value: int) -> bytes:
    return (value + SIGN).to_bytes(NUMBER_BYTES, "big")
