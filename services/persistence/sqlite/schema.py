"""The tables, and the two numbers in the file's header by which a database says that it is Perdure's and how old."""

APPLICATION_ID = 0x50657264  # "Perd"
SCHEMA_VERSION = 1

# Small rows live in WITHOUT ROWID tables, clustered by their key. Runs and visibility have large ones, which would
# leave an index b-tree with a fan-out of four; they are ordinary tables. A run's items and history refer to it by
# `run_key`, because eight bytes in every key are cheaper than an id of 36.
TABLES = """
CREATE TABLE shards (
    shard_id INTEGER PRIMARY KEY,
    range_id INTEGER NOT NULL,
    owner TEXT NOT NULL
);

CREATE TABLE currents (
    shard_id INTEGER NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    create_request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    start_time_ns INTEGER NOT NULL,
    first_execution_run_id TEXT NOT NULL,
    PRIMARY KEY (shard_id, namespace_id, workflow_id)
) WITHOUT ROWID;

CREATE TABLE runs (
    run_key INTEGER PRIMARY KEY,
    shard_id INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    blob BLOB NOT NULL,
    UNIQUE (shard_id, run_id)
);

CREATE TABLE items (
    run_key INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    item_id TEXT NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (run_key, kind, item_id)
) WITHOUT ROWID;

CREATE TABLE history (
    run_key INTEGER NOT NULL,
    first_event_id INTEGER NOT NULL,
    next_event_id INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (run_key, first_event_id)
) WITHOUT ROWID;

CREATE TABLE tasks (
    shard_id INTEGER NOT NULL,
    category INTEGER NOT NULL,
    fire_time_ns INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (shard_id, category, fire_time_ns, task_id)
) WITHOUT ROWID;

CREATE TABLE queues (
    queue_key INTEGER PRIMARY KEY,
    namespace_id TEXT NOT NULL,
    name TEXT NOT NULL,
    task_queue_type INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    range_id INTEGER NOT NULL,
    ack_level INTEGER NOT NULL,
    UNIQUE (namespace_id, name, task_queue_type, partition)
);

CREATE TABLE backlog (
    queue_key INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (queue_key, task_id)
) WITHOUT ROWID;

CREATE TABLE namespaces (
    namespace_id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    blob BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE cluster (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE visibility (
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    workflow_type TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    status INTEGER NOT NULL,
    start_time_ns INTEGER NOT NULL,
    execution_time_ns INTEGER NOT NULL,
    close_time_ns INTEGER NOT NULL,
    parent_workflow_id TEXT NOT NULL,
    parent_run_id TEXT NOT NULL,
    root_workflow_id TEXT NOT NULL,
    root_run_id TEXT NOT NULL,
    history_length INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL,
    state_transitions INTEGER NOT NULL,
    blob BLOB NOT NULL,
    search_attributes TEXT NOT NULL,
    list_rank INTEGER NOT NULL,  -- the close time, or later than any when the run is open
    UNIQUE (namespace_id, run_id)
);
CREATE INDEX visibility_in_list_order ON visibility (namespace_id, list_rank DESC, start_time_ns DESC, run_id);
CREATE INDEX visibility_by_workflow_id
    ON visibility (namespace_id, workflow_id, list_rank DESC, start_time_ns DESC, run_id);
"""
