"""Every schema there ever was, step by step. A step that was released is never edited: add one.

Only what MySQL 8 and MariaDB 10.8 both know. DDL is not transactional there, so each statement can be run again.
"""

# Ids are bytes: told apart by case and by spaces at their end, compared by code point. They have room for what the
# limits allow, 1,000 bytes, and for a prefix; what a key of InnoDB can hold, 3,072 bytes, bounds them all.
# A run's items and history refer to it by `run_key`, because eight bytes in every key are cheaper than an id of 36.
_TABLES = """
CREATE TABLE IF NOT EXISTS shards (
    shard_id INT PRIMARY KEY,
    range_id BIGINT NOT NULL,
    owner VARBINARY(1024) NOT NULL
);
CREATE TABLE IF NOT EXISTS currents (
    shard_id INT NOT NULL,
    namespace_id VARBINARY(255) NOT NULL,
    workflow_id VARBINARY(1024) NOT NULL,
    run_id VARBINARY(255) NOT NULL,
    create_request_id VARBINARY(1024) NOT NULL,
    status INT NOT NULL,
    start_time_ns BIGINT NOT NULL,
    first_execution_run_id VARBINARY(255) NOT NULL,
    PRIMARY KEY (shard_id, namespace_id, workflow_id)
);
CREATE TABLE IF NOT EXISTS runs (
    run_key BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    shard_id INT NOT NULL,
    run_id VARBINARY(255) NOT NULL,
    namespace_id VARBINARY(255) NOT NULL,
    workflow_id VARBINARY(1024) NOT NULL,
    version BIGINT NOT NULL,
    `blob` LONGBLOB NOT NULL,
    UNIQUE KEY (shard_id, run_id)
);
CREATE TABLE IF NOT EXISTS items (
    run_key BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    item_id VARBINARY(2048) NOT NULL,
    `blob` LONGBLOB NOT NULL,
    PRIMARY KEY (run_key, kind, item_id)
);
CREATE TABLE IF NOT EXISTS history (
    run_key BIGINT NOT NULL,
    first_event_id BIGINT NOT NULL,
    next_event_id BIGINT NOT NULL,
    `blob` LONGBLOB NOT NULL,
    PRIMARY KEY (run_key, first_event_id)
);
CREATE TABLE IF NOT EXISTS tasks (
    shard_id INT NOT NULL,
    category SMALLINT NOT NULL,
    fire_time_ns BIGINT NOT NULL,
    task_id BIGINT NOT NULL,
    `blob` LONGBLOB NOT NULL,
    PRIMARY KEY (shard_id, category, fire_time_ns, task_id)
);
CREATE TABLE IF NOT EXISTS queues (
    queue_key BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace_id VARBINARY(255) NOT NULL,
    name VARBINARY(2048) NOT NULL,
    task_queue_type INT NOT NULL,
    partition_id INT NOT NULL,
    range_id BIGINT NOT NULL,
    ack_level BIGINT NOT NULL,
    UNIQUE KEY (namespace_id, name, task_queue_type, partition_id)
);
CREATE TABLE IF NOT EXISTS backlog (
    queue_key BIGINT NOT NULL,
    task_id BIGINT NOT NULL,
    `blob` LONGBLOB NOT NULL,
    PRIMARY KEY (queue_key, task_id)
);
CREATE TABLE IF NOT EXISTS namespaces (
    namespace_id VARBINARY(255) PRIMARY KEY,
    name VARBINARY(1024) NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    `blob` LONGBLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS cluster (
    name VARBINARY(255) PRIMARY KEY,
    value LONGBLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS visibility (
    namespace_id VARBINARY(255) NOT NULL,
    workflow_id VARBINARY(1024) NOT NULL,
    run_id VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    workflow_type VARBINARY(2048) NOT NULL,
    task_queue VARBINARY(2048) NOT NULL,
    status INT NOT NULL,
    start_time_ns BIGINT NOT NULL,
    execution_time_ns BIGINT NOT NULL,
    close_time_ns BIGINT NOT NULL,
    parent_workflow_id VARBINARY(1024) NOT NULL,
    parent_run_id VARBINARY(255) NOT NULL,
    root_workflow_id VARBINARY(1024) NOT NULL,
    root_run_id VARBINARY(255) NOT NULL,
    history_length BIGINT NOT NULL,
    history_bytes BIGINT NOT NULL,
    state_transitions BIGINT NOT NULL,
    `blob` LONGBLOB NOT NULL,
    search_attributes LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    words LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    list_rank BIGINT NOT NULL,
    PRIMARY KEY (namespace_id, run_id),
    KEY visibility_in_list_order (namespace_id, list_rank DESC, start_time_ns DESC, run_id),
    KEY visibility_by_workflow_id (namespace_id, workflow_id, list_rank DESC, start_time_ns DESC, run_id)
)
"""

# A commit is one text of several statements. These begin it and check its conditions; a condition that does not hold
# ends the transaction and is an error, after which the server runs nothing more of the text (driver.REFUSALS).
# The fence: who writes in a shard shares a lock on its row until the transaction is over; who acquires it changes the
# row, so it waits for them, and those that come after it see its range id.
_PROCEDURES = (
    """
CREATE PROCEDURE perdure_begin(in_shard_id INT, in_range_id BIGINT)
BEGIN
    DECLARE stored BIGINT DEFAULT NULL;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET stored = NULL;
    START TRANSACTION;
    SELECT range_id INTO stored FROM shards WHERE shard_id = in_shard_id LOCK IN SHARE MODE;
    IF NOT stored <=> in_range_id THEN
        ROLLBACK;
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 50001, MESSAGE_TEXT = 'fenced';
    END IF;
END
""",
    """
CREATE PROCEDURE perdure_current(
    in_shard_id INT, in_namespace_id VARBINARY(255), in_workflow_id VARBINARY(1024),
    in_expected_run_id VARBINARY(255), in_run_id VARBINARY(255), in_create_request_id VARBINARY(1024),
    in_status INT, in_start_time_ns BIGINT, in_first_execution_run_id VARBINARY(255)
)
BEGIN
    DECLARE stored VARBINARY(255) DEFAULT NULL;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET stored = NULL;
    DECLARE EXIT HANDLER FOR 1062
    BEGIN
        ROLLBACK;
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 50002, MESSAGE_TEXT = 'another current run';
    END;
    IF in_expected_run_id IS NULL THEN
        INSERT INTO currents VALUES (
            in_shard_id, in_namespace_id, in_workflow_id, in_run_id, in_create_request_id, in_status,
            in_start_time_ns, in_first_execution_run_id
        );
    ELSE
        SELECT run_id INTO stored FROM currents
            WHERE shard_id = in_shard_id AND namespace_id = in_namespace_id AND workflow_id = in_workflow_id
            FOR UPDATE;
        IF NOT stored <=> in_expected_run_id THEN
            ROLLBACK;
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 50002, MESSAGE_TEXT = 'another current run';
        END IF;
        UPDATE currents SET
            run_id = in_run_id, create_request_id = in_create_request_id, status = in_status,
            start_time_ns = in_start_time_ns, first_execution_run_id = in_first_execution_run_id
        WHERE shard_id = in_shard_id AND namespace_id = in_namespace_id AND workflow_id = in_workflow_id;
    END IF;
END
""",
    """
CREATE PROCEDURE perdure_run(
    in_shard_id INT, in_namespace_id VARBINARY(255), in_workflow_id VARBINARY(1024), in_run_id VARBINARY(255),
    in_expected_version BIGINT, in_version BIGINT, in_blob LONGBLOB, OUT out_run_key BIGINT
)
BEGIN
    DECLARE stored BIGINT DEFAULT NULL;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET stored = NULL;
    DECLARE EXIT HANDLER FOR 1062
    BEGIN
        ROLLBACK;
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 50003, MESSAGE_TEXT = 'another version of the run';
    END;
    IF in_expected_version = 0 THEN
        INSERT INTO runs (shard_id, run_id, namespace_id, workflow_id, version, `blob`)
            VALUES (in_shard_id, in_run_id, in_namespace_id, in_workflow_id, in_version, in_blob);
        SET out_run_key = LAST_INSERT_ID();
    ELSE
        SELECT run_key, version INTO out_run_key, stored FROM runs
            WHERE shard_id = in_shard_id AND run_id = in_run_id FOR UPDATE;
        IF NOT stored <=> in_expected_version THEN
            ROLLBACK;
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 50003, MESSAGE_TEXT = 'another version of the run';
        END IF;
        UPDATE runs SET version = in_version, `blob` = in_blob WHERE run_key = out_run_key;
    END IF;
END
""",
    """
CREATE PROCEDURE perdure_begin_queue(
    in_namespace_id VARBINARY(255), in_name VARBINARY(2048), in_task_queue_type INT, in_partition_id INT,
    in_range_id BIGINT, OUT out_queue_key BIGINT
)
BEGIN
    DECLARE stored BIGINT DEFAULT NULL;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET stored = NULL;
    START TRANSACTION;
    SELECT queue_key, range_id INTO out_queue_key, stored FROM queues
        WHERE namespace_id = in_namespace_id AND name = in_name AND task_queue_type = in_task_queue_type
            AND partition_id = in_partition_id
        FOR UPDATE;
    IF NOT stored <=> in_range_id THEN
        ROLLBACK;
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 50001, MESSAGE_TEXT = 'fenced';
    END IF;
END
""",
)


def _replacing(procedure: str) -> tuple[str, str]:
    name = procedure.split("(")[0].split()[-1]
    return f"DROP PROCEDURE IF EXISTS {name}", procedure


MIGRATIONS = ((*_TABLES.split(";"), *(statement for each in _PROCEDURES for statement in _replacing(each))),)
