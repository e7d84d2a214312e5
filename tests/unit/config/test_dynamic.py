import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.config import ConfigError, DynamicConfig, Setting, limits
from services.config.allowed import AllowedAddresses
from services.config.limits import RetryDefaults
from services.config.settings import Constraints, Scope, known_keys

WORKFLOW, ACTIVITY = 1, 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dynamic.yaml"


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


def test_a_default_holds_until_something_is_said() -> None:
    assert DynamicConfig().get(limits.BLOB_SIZE_ERROR, namespace="a") == 2 * 1024 * 1024


def test_keys_ignore_capitals_and_values_take_the_settings_type(file: Path) -> None:
    file.write_text(
        "LIMIT.blobsize.ERROR: [{value: 5.0}]\n"
        "matching.longPollExpirationInterval: [{value: 30s}]\n"
        "history.longPollExpirationInterval: [{value: 7}]\n"
        "frontend.namespaceBurstRatio: [{value: 3}]\n"
    )
    config = DynamicConfig(path=file)
    assert config.get(limits.BLOB_SIZE_ERROR) == 5
    assert config.get(limits.MATCHING_LONG_POLL, "ns", "q", WORKFLOW) == timedelta(seconds=30)
    assert config.get(limits.HISTORY_LONG_POLL) == timedelta(seconds=7)
    assert isinstance(config.get(limits.NAMESPACE_BURST_RATIO), float)


def test_the_most_specific_task_queue_value_wins_whatever_the_order_in_the_file(file: Path) -> None:
    file.write_text(
        """
matching.numTaskqueueReadPartitions:
  - value: 1
  - {value: 2, constraints: {namespace: n}}
  - {value: 3, constraints: {taskQueueName: q}}
  - {value: 4, constraints: {namespace: n, taskQueueName: q}}
  - {value: 5, constraints: {NAMESPACE: n, taskqueuename: q, taskType: activity}}
"""
    )
    config = DynamicConfig(path=file)

    def partitions(*given: Any) -> int:
        return config.get(limits.READ_PARTITIONS, *given)

    assert partitions("n", "q", ACTIVITY) == 5
    assert partitions("n", "q", WORKFLOW) == 4
    assert partitions("other", "q", WORKFLOW) == 3
    assert partitions("n", "other", WORKFLOW) == 2
    assert partitions("other", "other", WORKFLOW) == 1
    assert partitions() == 1


def test_the_other_scopes_prefer_their_own_constraint(file: Path) -> None:
    file.write_text(
        """
a: [{value: 1}, {value: 2, constraints: {shardId: 7}}]
b: [{value: 1}, {value: 2, constraints: {destination: d}}, {value: 3, constraints: {namespace: n, destination: d}}]
c: [{value: 1}, {value: 2, constraints: {namespaceId: id}}]
d: [{value: 1}, {value: 2, constraints: {namespace: n}}]
"""
    )
    config = DynamicConfig(path=file)
    shard, destination = Setting("a", 0, Scope.SHARD_ID), Setting("b", 0, Scope.DESTINATION)
    assert [config.get(shard, shard_id=7), config.get(shard, shard_id=8)] == [2, 1]
    assert config.get(destination, "n", destination="d") == 3
    assert config.get(destination, "m", destination="d") == 2
    by_id = Setting("c", 0, Scope.NAMESPACE_ID)
    assert config.get_constrained(by_id, Constraints(namespace_id="id")) == 2
    assert config.get_constrained(by_id, Constraints(namespace_id="other")) == 1
    assert config.get(Setting("d", 0), namespace="n") == 1, "a global setting knows no namespace"


def test_an_override_wins_over_the_file_and_over_its_constraints(file: Path) -> None:
    file.write_text("limit.blobSize.error: [{value: 5, constraints: {namespace: n}}]\n")
    config = DynamicConfig(path=file, overrides={"Limit.blobSize.error": 9})
    assert config.get(limits.BLOB_SIZE_ERROR, "n") == 9


def test_a_changed_file_takes_effect_and_a_bad_one_changes_nothing(file: Path, logs: list[Any]) -> None:
    file.write_text("limit.blobSize.error: [{value: 5}]\n")
    config = DynamicConfig(path=file)
    assert config.get(limits.BLOB_SIZE_ERROR, "n") == 5
    before = config.version
    assert not config.reload(), "nothing changed"

    file.write_text("limit.blobSize.error: [{value: 77}]\n")
    assert config.reload()
    assert config.get(limits.BLOB_SIZE_ERROR, "n") == 77
    assert config.version > before

    file.write_text("limit.blobSize.error: [{value: many}]\n")
    assert not config.reload()
    assert config.get(limits.BLOB_SIZE_ERROR, "n") == 77
    file.unlink()
    assert not config.reload()
    assert config.get(limits.BLOB_SIZE_ERROR, "n") == 77
    errors = [line["error"] for line in logs if line["log_level"] == "error"]
    assert "limit.blobSize.error[0]: found 'many', expected a whole number" in errors[0]
    assert len(errors) == 2


def test_a_file_replaced_by_another_of_equal_size_and_time_is_noticed(file: Path) -> None:
    file.write_text("limit.blobSize.error: [{value: 5}]\n")
    config, status = DynamicConfig(path=file), file.stat()
    other = file.with_suffix(".new")
    other.write_text("limit.blobSize.error: [{value: 6}]\n")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert config.reload()
    assert config.get(limits.BLOB_SIZE_ERROR) == 6


@pytest.fixture
def watched(file: Path) -> DynamicConfig:
    """A configuration whose file changed after it was read."""
    file.write_text("limit.blobSize.error: [{value: 5}]\n")
    config = DynamicConfig(path=file)
    file.write_text("limit.blobSize.error: [{value: 66}]\n")
    return config


async def test_the_file_is_watched(watched: DynamicConfig) -> None:
    ticks: asyncio.Queue[None] = asyncio.Queue()
    asked: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        await asked.put(seconds)
        await ticks.get()

    task = asyncio.create_task(watched.watch(10, sleep))
    assert await asked.get() == 10
    assert watched.get(limits.BLOB_SIZE_ERROR) == 5
    await ticks.put(None)
    await asked.get()
    assert watched.get(limits.BLOB_SIZE_ERROR) == 66
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limit.maxIDLength: 5", "limit.maxIDLength: found 5, expected a list of"),
        ("limit.maxIDLength: [5]", r"limit.maxIDLength\[0\]: found 5, expected value, and constraints perhaps"),
        ("limit.maxIDLength: [{value: 1.5}]", r"limit.maxIDLength\[0\]: found 1.5, expected a whole number"),
        ("frontend.enableSchedules: [{value: 1}]", "found 1, expected true or false"),
        ("matching.updateAckInterval: [{value: soon}]", "found 'soon', expected a duration"),
        (
            "limit.maxIDLength: [{value: 1, constraints: {namespce: x}}]",
            r"\[0\].constraints.namespce: found an unknown",
        ),
        ("a: [{value: 1, constraints: {taskType: Timer}}]", "found 'Timer', expected Workflow, Activity or Nexus"),
        ("a: [{value: 1, constraints: {shardId: x}}]", "shardId: found 'x', expected a number"),
        ("limit.maxIDLength: [{value: 1}]\nLIMIT.maxIDLength: [{value: 1}]", "expected each key once"),
        ("- a", "found list, expected a mapping"),
        ("a: [", "expected a YAML document"),
    ],
)
def test_a_bad_file_refuses_the_start(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        DynamicConfig(path=file)


def test_an_override_of_the_wrong_type_refuses_the_start() -> None:
    with pytest.raises(ConfigError, match=r"frontend\.rps: found 'many', expected a whole number"):
        DynamicConfig(overrides={"frontend.rps": "many"})


def test_unknown_keys_and_useless_constraints_are_warned_of(file: Path, logs: list[Any]) -> None:
    file.write_text("limit.blobSize.eror: [{value: 5}]\nlimit.maxIDLength: [{value: 5, constraints: {namespace: n}}]\n")
    DynamicConfig(path=file)
    unknown, useless = logs
    assert unknown["log_level"] == useless["log_level"] == "warning"
    assert (unknown["key"], unknown["nearest"]) == ("limit.blobSize.eror", "limit.blobSize.error")
    assert (useless["place"], useless["scope"]) == ("limit.maxIDLength[0]", "Global")


def test_retry_defaults_are_read_and_a_bad_map_falls_back_to_the_default(file: Path, logs: list[Any]) -> None:
    file.write_text(
        """
history.defaultActivityRetryPolicy:
  - value: {InitialIntervalInSeconds: 3, MaximumAttempts: 4}
history.defaultWorkflowRetryPolicy:
  - value: {InitialInterval: 3}
"""
    )
    config = DynamicConfig(path=file)
    assert config.get(limits.DEFAULT_ACTIVITY_RETRY) == RetryDefaults(timedelta(seconds=3), maximum_attempts=4)
    assert config.get(limits.DEFAULT_WORKFLOW_RETRY) == RetryDefaults()
    assert logs[-1]["key"] == "history.defaultWorkflowRetryPolicy"


def test_the_memory_of_resolved_values_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.config.dynamic._RESOLVED_MAX", 10)
    file.write_text("limit.blobSize.error: [{value: 5, constraints: {namespace: n}}]\n")
    config = DynamicConfig(path=file)
    for i in range(25):
        assert config.get(limits.BLOB_SIZE_ERROR, str(i)) == 2 * 1024 * 1024
    assert len(config._resolved) <= 10


def test_every_setting_is_a_reference_key_of_the_same_scope_and_type() -> None:
    kinds = {
        bool: "Bool",
        int: "Int",
        float: "Float",
        timedelta: "Duration",
        RetryDefaults: "Typed",
        AllowedAddresses: "Typed",
    }
    keys = [setting.key for setting in limits.SETTINGS]
    assert len(set(keys)) == len(keys) > 100
    for setting in limits.SETTINGS:
        known = known_keys()[setting.key.lower()]
        assert (known.key, known.scope, known.kind) == (setting.key, setting.scope.title, kinds[type(setting.default)])
