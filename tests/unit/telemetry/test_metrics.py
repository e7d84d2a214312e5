from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.telemetry import (
    BYTES_BUCKETS,
    SECONDS_BUCKETS,
    SERVICE_ERROR_WITH_TYPE,
    SERVICE_ERRORS,
    SERVICE_LATENCY,
    SERVICE_PENDING_REQUESTS,
    SERVICE_REQUESTS,
    Counter,
    Gauge,
    Histogram,
    MetricsServer,
    Registry,
    call_metrics,
)


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_counter_keeps_its_name(registry: Registry) -> None:
    requests = Counter("service_requests", ("operation", "namespace"), "Calls.", registry)
    requests.bind(operation="Start", namespace="a").inc()
    requests.bind(namespace="a", operation="Start").inc(2)
    assert registry.text() == (
        "# HELP service_requests Calls.\n"
        "# TYPE service_requests counter\n"
        'service_requests{operation="Start",namespace="a"} 3\n'
    )


def test_a_gauge_moves_both_ways_or_is_asked(registry: Registry) -> None:
    pending, lag = Gauge("pending", registry=registry), Gauge("lag", ("queue",), registry=registry)
    pending.bind().inc(3)
    pending.bind().dec()
    lag.bind(queue="q").read(lambda: 0.5)
    assert "\npending 2\n" in registry.text()
    assert '\nlag{queue="q"} 0.5\n' in registry.text()
    pending.bind().set(7)
    assert "\npending 7\n" in registry.text()


def test_a_value_on_a_bound_falls_into_its_bucket_and_buckets_add_up(registry: Registry) -> None:
    latency = Histogram("latency", ("operation",), buckets=(0.1, 1, 1048576), registry=registry).bind(operation="o")
    for seconds in (0.05, 0.1, 0.5, 2e6):
        latency.observe(seconds)
    assert registry.text().splitlines()[2:] == [
        'latency_bucket{operation="o",le="0.1"} 2',
        'latency_bucket{operation="o",le="1"} 3',
        'latency_bucket{operation="o",le="1.048576e+06"} 3',
        'latency_bucket{operation="o",le="+Inf"} 4',
        'latency_sum{operation="o"} 2.00000065e+06',
        'latency_count{operation="o"} 4',
    ]


def test_an_independent_parser_reads_what_was_written(registry: Registry) -> None:
    odd = 'a"b\\c\nd'
    Counter("odd", ("name",), registry=registry).bind(name=odd).inc(1e-9)
    Histogram("h", registry=registry).bind().observe(3)
    families = {family.name: family for family in text_string_to_metric_families(registry.text())}
    assert families["odd"].type == "counter"
    assert families["odd"].samples[0].labels == {"name": "a_b_c_d"}
    assert families["odd"].samples[0].value == 1e-9
    assert families["h"].type == "histogram"
    assert len(families["h"].samples) == len(SECONDS_BUCKETS) + 3


def test_labels_must_be_those_declared(registry: Registry) -> None:
    counter = Counter("c", ("operation",), registry=registry)
    for wrong in ({}, {"operaton": "x"}, {"operation": "x", "namespace": "y"}):
        with pytest.raises(ValueError, match=r"metric 'c' has labels \('operation',\)"):
            counter.bind(**wrong)


def test_a_name_is_declared_once(registry: Registry) -> None:
    Counter("c", registry=registry)
    with pytest.raises(ValueError, match="metric 'c' is declared twice"):
        Gauge("c", registry=registry)


def test_an_unbound_child_is_gone(registry: Registry) -> None:
    gauge = Gauge("backlog", ("queue",), registry=registry)
    gauge.bind(queue="q").set(1)
    gauge.unbind(queue="q")
    gauge.unbind(queue="never")
    assert registry.text() == ""


def test_buckets_are_the_references() -> None:
    assert (SECONDS_BUCKETS[0], SECONDS_BUCKETS[-1], len(SECONDS_BUCKETS)) == (0.001, 1000, 19)
    assert (BYTES_BUCKETS[0], BYTES_BUCKETS[-1]) == (1024, 16 * 1024 * 1024)


def test_a_call_is_counted_from_start_to_end() -> None:
    labels = {"operation": "TestCall", "namespace": "_unknown_", "service_name": "frontend"}
    call = call_metrics("TestCall", "", "frontend")
    assert call_metrics("TestCall", "", "frontend") is call
    call.started()
    assert SERVICE_PENDING_REQUESTS.bind(**labels).value == 1
    call.ended(0.003)
    call.started()
    call.ended(0.2, "serviceerror_NotFound")
    call.started()
    call.ended(1, "serviceerror_Internal", ours=True)
    assert SERVICE_PENDING_REQUESTS.bind(**labels).value == 0
    assert SERVICE_REQUESTS.bind(**labels).value == 3
    assert SERVICE_ERRORS.bind(**labels).value == 1
    assert SERVICE_ERROR_WITH_TYPE.bind(**labels, error_type="serviceerror_NotFound").value == 1
    assert SERVICE_LATENCY.bind(**labels).sum == pytest.approx(1.203)


def test_metrics_are_served_with_the_processs_own(registry: Registry) -> None:
    Counter("restarts", registry=registry).bind().inc()
    server = MetricsServer("127.0.0.1", 0, registry=registry)
    host, port = server.address
    try:
        with urlopen(f"http://{host}:{port}/metrics") as response:
            text = response.read().decode()
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "\nrestarts 1\n" in text
        assert "process_resident_memory_bytes" in text
        with pytest.raises(HTTPError, match="404") as missing:
            urlopen(f"http://{host}:{port}/other")
        missing.value.close()
    finally:
        server.stop()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://{host}:{port}/metrics")


def test_a_taken_port_is_an_error(registry: Registry) -> None:
    server = MetricsServer("127.0.0.1", 0, registry=registry)
    try:
        with pytest.raises(OSError, match="in use"):
            MetricsServer(*server.address, registry=registry)
    finally:
        server.stop()


def test_an_installation_adds_a_prefix_and_labels_and_hides_values(registry: Registry) -> None:
    registry.dress(prefix="acme", tags={"zone": "eu-1"}, exclude={"taskqueue": ["known"]})
    counter = Counter("polls", ("taskqueue",), "Polls.", registry)
    counter.bind(taskqueue="known").inc()
    counter.bind(taskqueue="one").inc()
    counter.bind(taskqueue="two").inc()
    Gauge("plain", registry=registry).bind().set(1)
    assert registry.text().splitlines()[2:] == [
        'acme_plain{zone="eu_1"} 1',
        "# HELP acme_polls Polls.",
        "# TYPE acme_polls counter",
        'acme_polls{taskqueue="known",zone="eu_1"} 1',
        'acme_polls{taskqueue="_tag_excluded_",zone="eu_1"} 2',
    ]


def test_values_that_are_shown_alike_are_one_series(registry: Registry) -> None:
    counter = Counter("c", ("namespace",), registry=registry)
    counter.bind(namespace="a-b").inc()
    counter.bind(namespace="a.b").inc()
    assert registry.text().splitlines()[2:] == ['c{namespace="a_b"} 2']
