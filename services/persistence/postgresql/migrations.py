"""Every schema there ever was, step by step. A step that was released is never edited: add one."""

# Text is compared by code point (COLLATE "C"): ids are told apart by case, and indexes serve prefixes and order.
# A run's items and history refer to it by `run_key`, because eight bytes in every key are cheaper than an id of 36.
# Rows that are written again and again leave room on their page, so that a new version needs no new index entry.
TABLES_1 = """
CREATE TABLE shards (
    shard_id int PRIMARY KEY,
    range_id bigint NOT NULL,
    owner text NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE currents (
    shard_id int NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    create_request_id text NOT NULL,
    status int NOT NULL,
    start_time_ns bigint NOT NULL,
    first_execution_run_id text NOT NULL,
    PRIMARY KEY (shard_id, namespace_id, workflow_id)
) WITH (fillfactor = 80);

CREATE SEQUENCE run_keys;
CREATE TABLE runs (
    shard_id int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    run_key bigint NOT NULL DEFAULT nextval('run_keys'),
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (shard_id, run_id)
) WITH (fillfactor = 60);

CREATE TABLE items (
    run_key bigint NOT NULL,
    kind smallint NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (run_key, kind, item_id)
) WITH (fillfactor = 80);

CREATE TABLE history (
    run_key bigint NOT NULL,
    first_event_id bigint NOT NULL,
    next_event_id bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (run_key, first_event_id)
);

CREATE TABLE tasks (
    shard_id int NOT NULL,
    category smallint NOT NULL,
    fire_time_ns bigint NOT NULL,
    task_id bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (shard_id, category, fire_time_ns, task_id)
);

CREATE SEQUENCE queue_keys;
CREATE TABLE queues (
    queue_key bigint NOT NULL DEFAULT nextval('queue_keys'),
    namespace_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    task_queue_type int NOT NULL,
    partition int NOT NULL,
    range_id bigint NOT NULL,
    ack_level bigint NOT NULL,
    PRIMARY KEY (namespace_id, name, task_queue_type, partition)
) WITH (fillfactor = 50);

CREATE TABLE backlog (
    queue_key bigint NOT NULL,
    task_id bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (queue_key, task_id)
);

CREATE TABLE namespaces (
    namespace_id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    version bigint NOT NULL,
    blob bytea NOT NULL
);

CREATE TABLE cluster (
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE visibility (
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    workflow_type text COLLATE "C" NOT NULL,
    task_queue text COLLATE "C" NOT NULL,
    status int NOT NULL,
    start_time_ns bigint NOT NULL,
    execution_time_ns bigint NOT NULL,
    close_time_ns bigint NOT NULL,
    parent_workflow_id text COLLATE "C" NOT NULL,
    parent_run_id text COLLATE "C" NOT NULL,
    root_workflow_id text COLLATE "C" NOT NULL,
    root_run_id text COLLATE "C" NOT NULL,
    history_length bigint NOT NULL,
    history_bytes bigint NOT NULL,
    state_transitions bigint NOT NULL,
    blob bytea NOT NULL,
    search_attributes jsonb NOT NULL,
    words jsonb NOT NULL,  -- of the attributes that are texts: what a filter on a Text attribute looks at
    list_rank bigint NOT NULL,  -- the close time, or later than any when the run is open
    PRIMARY KEY (namespace_id, run_id)
);
CREATE INDEX visibility_in_list_order ON visibility (namespace_id, list_rank DESC, start_time_ns DESC, run_id);
CREATE INDEX visibility_by_workflow_id
    ON visibility (namespace_id, workflow_id, list_rank DESC, start_time_ns DESC, run_id);
"""

# The fence. Who writes in a shard holds its lock with others who do, until the transaction is over; who acquires it
# waits for them and keeps new ones out. Each statement in these functions sees what was committed before it began, so
# a range id that is read with the lock in hand is the last word. Advisory locks write nothing, as row locks would.
FENCE_1 = """
CREATE FUNCTION perdure_acquire_shard(in_shard_id int, in_owner text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    acquired bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1885696612, in_shard_id);
    INSERT INTO shards AS stored VALUES (in_shard_id, 1, in_owner)
        ON CONFLICT (shard_id) DO UPDATE SET range_id = stored.range_id + 1, owner = excluded.owner
        RETURNING stored.range_id INTO acquired;
    RETURN acquired;
END $$;

CREATE FUNCTION perdure_holds_shard(in_shard_id int, in_range_id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1885696612, in_shard_id);
    RETURN EXISTS (SELECT FROM shards WHERE shard_id = in_shard_id AND range_id = in_range_id);
END $$;
"""

# One transaction of one workflow id in one call. It returns a number of `OUTCOMES`. A run that is not as expected is an
# error (PD003), which undoes what was written before it. `NULL` for in_run_id: the current run is left alone; for
# in_expected_run_id: there must be none. Items and batches say which of the runs they belong to, counted from 1.
COMMIT_1 = """
CREATE FUNCTION perdure_commit(
    in_shard_id int, in_range_id bigint, in_namespace_id text, in_workflow_id text,
    in_expected_run_id text, in_run_id text, in_create_request_id text, in_status int, in_start_time_ns bigint,
    in_first_execution_run_id text,
    run_ids text[], expected_versions bigint[], versions bigint[], blobs bytea[],
    dropped_runs int[], dropped_kinds smallint[], dropped_ids text[],
    item_runs int[], item_kinds smallint[], item_ids text[], item_blobs bytea[],
    batch_runs int[], batch_firsts bigint[], batch_nexts bigint[], batch_blobs bytea[],
    task_categories smallint[], task_fire_times_ns bigint[], task_ids bigint[], task_blobs bytea[]
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    key bigint;
    keys bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1885696612, in_shard_id);
    PERFORM FROM shards WHERE shard_id = in_shard_id AND range_id = in_range_id;
    IF NOT FOUND THEN
        RETURN 1;
    END IF;
    IF in_run_id IS NOT NULL THEN
        IF in_expected_run_id IS NULL THEN
            INSERT INTO currents VALUES (
                in_shard_id, in_namespace_id, in_workflow_id, in_run_id, in_create_request_id, in_status,
                in_start_time_ns, in_first_execution_run_id
            ) ON CONFLICT DO NOTHING;
        ELSE
            UPDATE currents SET
                run_id = in_run_id, create_request_id = in_create_request_id, status = in_status,
                start_time_ns = in_start_time_ns, first_execution_run_id = in_first_execution_run_id
            WHERE shard_id = in_shard_id AND namespace_id = in_namespace_id AND workflow_id = in_workflow_id
                AND run_id = in_expected_run_id;
        END IF;
        IF NOT FOUND THEN
            RETURN 2;
        END IF;
    END IF;
    FOR n IN 1 .. cardinality(run_ids) LOOP
        IF expected_versions[n] = 0 THEN
            INSERT INTO runs (shard_id, run_id, namespace_id, workflow_id, version, blob)
                VALUES (in_shard_id, run_ids[n], in_namespace_id, in_workflow_id, versions[n], blobs[n])
                ON CONFLICT DO NOTHING RETURNING run_key INTO key;
        ELSE
            UPDATE runs SET version = versions[n], blob = blobs[n]
                WHERE shard_id = in_shard_id AND run_id = run_ids[n] AND version = expected_versions[n]
                RETURNING run_key INTO key;
        END IF;
        IF key IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'PD003', MESSAGE = 'a run has another version than expected';
        END IF;
        keys[n] = key;
    END LOOP;
    IF cardinality(dropped_ids) > 0 THEN
        DELETE FROM items USING unnest(dropped_runs, dropped_kinds, dropped_ids) AS dropped (run, kind, item_id)
            WHERE items.run_key = keys[dropped.run] AND items.kind = dropped.kind AND items.item_id = dropped.item_id;
    END IF;
    IF cardinality(item_ids) > 0 THEN
        INSERT INTO items SELECT keys[item.run], item.kind, item.item_id, item.blob
            FROM unnest(item_runs, item_kinds, item_ids, item_blobs) AS item (run, kind, item_id, blob)
            ON CONFLICT (run_key, kind, item_id) DO UPDATE SET blob = excluded.blob;
    END IF;
    IF cardinality(batch_firsts) > 0 THEN
        INSERT INTO history SELECT keys[batch.run], batch.first_event_id, batch.next_event_id, batch.blob
            FROM unnest(batch_runs, batch_firsts, batch_nexts, batch_blobs)
                AS batch (run, first_event_id, next_event_id, blob);
    END IF;
    IF cardinality(task_ids) > 0 THEN
        INSERT INTO tasks SELECT in_shard_id, * FROM unnest(task_categories, task_fire_times_ns, task_ids, task_blobs);
    END IF;
    RETURN 0;
END $$;
"""

# Both return a number of `OUTCOMES`. Tasks that come back after a crash are done once more; no disk is waited for.
# The current run goes before the run, as in a commit: locks that are taken in one order make no deadlock.
DELETE_1 = """
CREATE FUNCTION perdure_delete_tasks(
    in_shard_id int, in_range_id bigint, in_category smallint, in_fire_time_ns bigint, in_task_id bigint
) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF NOT perdure_holds_shard(in_shard_id, in_range_id) THEN
        RETURN 1;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM tasks WHERE shard_id = in_shard_id AND category = in_category
        AND (fire_time_ns, task_id) <= (in_fire_time_ns, in_task_id);
    RETURN 0;
END $$;

CREATE FUNCTION perdure_delete_run(
    in_shard_id int, in_range_id bigint, in_namespace_id text, in_workflow_id text, in_run_id text
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    key bigint;
BEGIN
    IF NOT perdure_holds_shard(in_shard_id, in_range_id) THEN
        RETURN 1;
    END IF;
    DELETE FROM currents WHERE shard_id = in_shard_id AND namespace_id = in_namespace_id
        AND workflow_id = in_workflow_id AND run_id = in_run_id;
    DELETE FROM runs WHERE shard_id = in_shard_id AND run_id = in_run_id RETURNING run_key INTO key;
    IF key IS NOT NULL THEN
        DELETE FROM items WHERE run_key = key;
        DELETE FROM history WHERE run_key = key;
    END IF;
    RETURN 0;
END $$;
"""

MIGRATIONS = (TABLES_1 + FENCE_1 + COMMIT_1 + DELETE_1,)
