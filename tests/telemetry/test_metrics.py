"""The metrics dashboards are drawn from, compared with the reference server's after the same work."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from services.telemetry import REGISTRY
from tests.telemetry import document, families
from tests.telemetry.families import Family

OTHER_PROCESS = ("process_", "python_")  # the interpreter's own, by their usual names


def total(found: Mapping[str, Family], name: str, **labels: str) -> float:
    """The sum of a family's series that have these labels; histograms count."""
    wanted = set(labels.items())
    return sum(value for series, value in found[name].values.items() if wanted <= set(series))


def test_what_both_count_has_one_shape(ours: Mapping[str, Family], official: Mapping[str, Family]) -> None:
    both = sorted(ours.keys() & official.keys())
    assert len(both) >= 70
    assert [difference for name in both for difference in ours[name].differences(official[name])] == []


def test_nothing_is_invented(ours: Mapping[str, Family], official: Mapping[str, Family]) -> None:
    """What only we show is named by the reference too, for things that the workload does not do there."""
    rare = {
        "complete_workflow_task_sticky_disabled_count",
        "service_errors",
        "shard_closed_count",
        "sharditem_removed_count",
        "task_errors",
        "workflow_backoff_timer",
    }
    invented = {name for name in ours.keys() - official.keys() if not name.startswith(OTHER_PROCESS)}
    assert invented - rare == set()


def test_runs_are_counted_by_how_they_end(ours: Mapping[str, Family], official: Mapping[str, Family]) -> None:
    for end in ("success", "failed", "cancel", "terminate", "timeout", "continued_as_new"):
        name = f"workflow_{end}"
        assert total(ours, name, namespace="default") == total(official, name, namespace="default"), name
    assert total(ours, "workflow_failed", taskqueue="metrics_queue", workflowType="Work") == 1


def test_activities_and_commands_are_counted_alike(ours: Mapping[str, Family], official: Mapping[str, Family]) -> None:
    for name in (
        "activity_success",
        "activity_fail",
        "activity_task_fail",
        "activity_timeout",
        "activity_task_timeout",
        "activity_schedule_to_close_latency",
        "activity_start_to_close_latency",
        "activity_heartbeat_count",
        "start_to_close_timeout",
    ):
        assert ours[name].values == official[name].values, name
    for command in ("ScheduleActivityTask", "StartTimer", "ContinueAsNewWorkflowExecution", "FailWorkflowExecution"):
        assert total(ours, "command", commandType=command) == total(official, "command", commandType=command)


def test_calls_are_counted_by_who_asks_and_who_answers(
    ours: Mapping[str, Family], official: Mapping[str, Family]
) -> None:
    for operation, namespace in (("StartWorkflowExecution", "default"), ("SignalWorkflowExecution", "default")):
        for service in ("frontend", "history"):
            labels = {"operation": operation, "namespace": namespace, "service_name": service}
            assert total(ours, "service_requests", **labels) == total(official, "service_requests", **labels)
        labels = {"operation": f"HistoryClient{operation}", "namespace": namespace, "service_role": "history"}
        assert total(ours, "client_requests", **labels) == total(official, "client_requests", **labels)
    labels = {"operation": "DescribeWorkflowExecution", "error_type": "serviceerror_NotFound"}
    assert total(ours, "service_error_with_type", service_name="frontend", **labels) == 1


def test_promtool_finds_nothing_that_prometheus_cannot_read(ours_text: str, promtool: str) -> None:
    checked = subprocess.run([promtool, "check", "metrics"], input=ours_text, text=True, capture_output=True)
    assert "error while linting" not in checked.stderr
    assert checked.returncode in (0, 3), checked.stderr  # 3: advice on names, which are the reference's


def test_a_difference_is_found() -> None:
    """The comparison itself: a wrong type, label or bucket does not pass."""
    here = families.read('# TYPE a counter\na{x="1"} 2\n# TYPE h histogram\nh_bucket{le="1"} 0\nh_sum 0\nh_count 0\n')
    there = families.read('# TYPE a gauge\na{y="1"} 2\n# TYPE h histogram\nh_bucket{le="2"} 0\nh_sum 0\nh_count 0\n')
    assert len(list(here["a"].differences(there["a"]))) == 2
    assert len(list(here["h"].differences(there["h"]))) == 1
    assert list(here["h"].differences(here["h"])) == []


def test_what_the_reference_has_besides_is_listed_with_a_reason() -> None:
    document.page()  # knows every room's families
    here = REGISTRY.families.keys()
    assert [name for name in document.reference() if name not in here and document.why_lacking(name) is None] == []


def test_a_reason_is_given_only_for_what_is_not_here() -> None:
    document.page()
    assert [name for name in REGISTRY.families if document.why_lacking(name) is not None] == []


def test_the_page_is_what_the_code_says() -> None:
    assert document.PAGE.read_text() == document.page(), "run python -m tests.telemetry.document"
