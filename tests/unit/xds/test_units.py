"""How what has a unit is written."""

from __future__ import annotations

import pytest

from composemesh.xds import protos
from composemesh.xds.resources.units import put_seconds, seconds


@pytest.mark.parametrize(
    ("value", "text", "whole", "nanos"),
    [
        (0.0, "0.000000000s", 0, 0),
        (0.1, "0.100000000s", 0, 100_000_000),
        (3600.25, "3600.250000000s", 3600, 250_000_000),
    ],
)
def test_durations_are_the_same_in_json_and_in_messages(value: float, text: str, whole: int, nanos: int) -> None:
    cluster = protos.message("envoy.config.cluster.v3.Cluster")()
    put_seconds(cluster.connect_timeout, value)
    assert (cluster.connect_timeout.seconds, cluster.connect_timeout.nanos) == (whole, nanos)
    assert seconds(value) == text
