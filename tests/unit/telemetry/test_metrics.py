"""The Prometheus text: Istio's names and labels, one report for each captured side, no label set twice."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from composemesh.model.flag import Flag
from composemesh.model.peer import UNKNOWN, Peer, PeerKind
from composemesh.model.record import unreached
from composemesh.telemetry import metrics
from composemesh.telemetry.hub import Hub
from environment import tools
from unit.telemetry.conftest import Tell


def samples(hub: Hub) -> list[Sample]:
    return [
        sample
        for family in text_string_to_metric_families(metrics.text(hub, "shop").decode())
        for sample in family.samples
    ]


def requests(hub: Hub) -> list[Sample]:
    return [sample for sample in samples(hub) if sample.name == "istio_requests_total"]


@pytest.fixture
def everything(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> Hub:
    """Every kind of peer and ending that there is."""
    page, reviews = peer("productpage"), peer("reviews/v2")
    for duration in (0.0001, 0.02, 4000.0):
        tell(page, reviews, duration=duration, sent=70_000)
    tell(UNKNOWN, page)
    tell(UNKNOWN, unreached("productpage"), 503, flag=Flag.UPSTREAM_CONNECTION_FAILURE)
    tell(page, unreached("details"), 503, flag=Flag.NO_HEALTHY_UPSTREAM)
    tell(
        page,
        peer('we"ird\\na\nme', PeerKind.EXTERNAL, captured=False),
        0,
        flag=Flag.DOWNSTREAM_CONNECTION_TERMINATION,
    )
    tell(page, peer("mysql"), 0, protocol="tcp")
    tcp = hub.tcp(page, peer("mysql"))
    tcp.opened, tcp.closed, tcp.sent, tcp.received = 3, 1, 4096, 512
    return hub


def test_istios_labels_for_both_reporters(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    tell(peer("productpage/v1"), peer("reviews/v2"))
    source, destination = requests(hub)
    assert source.value == destination.value == 1
    shared = {
        "source_workload": "shop-productpage-1",
        "source_workload_namespace": "shop",
        "source_principal": "unknown",
        "source_app": "productpage",
        "source_version": "v1",
        "source_cluster": "composemesh",
        "source_canonical_service": "productpage",
        "source_canonical_revision": "v1",
        "destination_workload": "shop-reviews-1",
        "destination_workload_namespace": "shop",
        "destination_principal": "unknown",
        "destination_app": "reviews",
        "destination_version": "v2",
        "destination_cluster": "composemesh",
        "destination_canonical_service": "reviews",
        "destination_canonical_revision": "v2",
        "destination_service": "reviews.shop.svc.cluster.local",
        "destination_service_name": "reviews",
        "destination_service_namespace": "shop",
        "request_protocol": "http",
        "response_code": "200",
        "grpc_response_status": "",
        "response_flags": "-",
    }
    assert source.labels == {**shared, "reporter": "source", "connection_security_policy": "unknown"}
    assert destination.labels == {**shared, "reporter": "destination", "connection_security_policy": "none"}


@pytest.mark.parametrize(
    ("from_captured", "to_captured", "reporters"),
    [
        (True, True, ["source", "destination"]),
        (True, False, ["source"]),
        (False, True, ["destination"]),
        (False, False, ["destination"]),  # only a callee's sidecar can have seen it
    ],
)
def test_who_reports(
    hub: Hub, peer: Callable[..., Peer], tell: Tell, from_captured: bool, to_captured: bool, reporters: list[str]
) -> None:
    tell(peer("a", captured=from_captured), peer("b", captured=to_captured))
    assert [sample.labels["reporter"] for sample in requests(hub)] == reporters


def test_a_workload_captured_late_is_not_listed_twice(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    tell(peer("a"), peer("b", captured=False), duration=0.001)
    tell(peer("a"), peer("b"), duration=0.003)
    by_reporter = {sample.labels["reporter"]: sample.value for sample in requests(hub)}
    assert by_reporter == {"source": 2, "destination": 1}
    sums = {
        sample.labels["reporter"]: sample.value
        for sample in samples(hub)
        if sample.name == "istio_request_duration_milliseconds_sum"
    }
    assert sums == pytest.approx({"source": 4, "destination": 3})


def test_histograms_are_cumulative_and_in_milliseconds(everything: Hub) -> None:
    mine = [
        sample
        for sample in samples(everything)
        if sample.name.startswith("istio_request_duration_milliseconds")
        and sample.labels["destination_app"] == "reviews"
        and sample.labels["reporter"] == "source"
    ]
    buckets = {sample.labels["le"]: sample.value for sample in mine if sample.name.endswith("_bucket")}
    assert len(buckets) == 20
    assert (buckets["0.5"], buckets["10"], buckets["25"], buckets["3600000"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    (total,) = [sample.value for sample in mine if sample.name.endswith("_sum")]
    assert total == pytest.approx(4_000_020.1)


def test_tcp_is_counted_in_bytes_and_connections_and_not_in_requests(everything: Hub) -> None:
    found = {
        sample.name: sample.value
        for sample in samples(everything)
        if "_tcp_" in sample.name and sample.labels["reporter"] == "source"
    }
    assert found == {
        "istio_tcp_sent_bytes_total": 4096,
        "istio_tcp_received_bytes_total": 512,
        "istio_tcp_connections_opened_total": 3,
        "istio_tcp_connections_closed_total": 1,
    }
    assert not [sample for sample in requests(everything) if sample.labels["destination_app"] == "mysql"]


def test_no_sample_stands_there_twice(everything: Hub) -> None:
    seen = Counter((sample.name, tuple(sorted(sample.labels.items()))) for sample in samples(everything))
    assert [one for one, count in seen.items() if count > 1] == []


def test_every_metric_is_announced_before_it_has_values(hub: Hub) -> None:
    names = {family.name for family in text_string_to_metric_families(metrics.text(hub, "shop").decode())}
    assert {
        "istio_requests",
        "istio_request_duration_milliseconds",
        "istio_request_bytes",
        "istio_response_bytes",
        "istio_tcp_sent_bytes",
        "istio_tcp_received_bytes",
        "istio_tcp_connections_opened",
        "istio_tcp_connections_closed",
        "composemesh_build_info",
        "process_resident_memory_bytes",
    } <= names


def test_pages_joined_are_one_text_with_each_family_in_one_piece(
    hub: Hub, peer: Callable[..., Peer], tell: Tell
) -> None:
    for number in range(3 * metrics.PAGE):
        tell(peer("a"), peer(f"b{number}"))
    lines = metrics.text(hub, "shop").decode().splitlines()
    types = [line for line in lines if line.startswith("# TYPE istio_")]
    assert len(types) == len(set(types)) == 8
    assert len(requests(hub)) == 2 * 3 * metrics.PAGE


def test_promtool_finds_nothing_wrong(everything: Hub) -> None:
    promtool = tools.find("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.text(everything, "shop"),
        capture_output=True,
        check=False,
        timeout=30,
    )
    # 3 is "valid, but I have an opinion": on the unit in the name that Istio gave this metric, and on nothing else.
    assert checked.returncode == 3, checked.stderr.decode()
    assert checked.stdout == b""
    assert checked.stderr.decode().strip().splitlines() == [
        'istio_request_duration_milliseconds use base unit "seconds" instead of "milliseconds"'
    ]
