"""What the settings may be."""

from __future__ import annotations

import pytest

from composemesh_statsd.config import StatsDConfig
from composemesh_statsd.outlet import Outlet, outlet


@pytest.mark.parametrize(
    ("address", "means"),
    [
        ("127.0.0.1:8125", Outlet("127.0.0.1", 8125)),
        ("statsd.example.com:9125", Outlet("statsd.example.com", 9125)),
        ("[::1]:8125", Outlet("::1", 8125)),
        ("unix:///run/datadog/dsd.socket", Outlet(path="/run/datadog/dsd.socket")),
    ],
)
def test_addresses(address: str, means: Outlet) -> None:
    assert outlet(address) == means
    assert str(outlet(address)) in address.replace("[", "").replace("]", "")
    assert StatsDConfig(address=address).address == address


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"address": "8125"}, "HOST:PORT"),
        ({"address": "127.0.0.1:0"}, "HOST:PORT"),
        ({"address": "127.0.0.1:70000"}, "HOST:PORT"),
        ({"address": "a b:8125"}, "HOST:PORT"),
        ({"address": "unix://run/dsd.socket"}, "absolute path"),
        ({"address": "unix:///" + "x" * 120}, "107 bytes"),
        ({"interval": 0.0}, "interval must be"),
        ({"interval": 1e6}, "interval must be"),
        ({"tags": {"env": "live"}}, "tags need dialect: dogstatsd"),
        ({"dialect": "dogstatsd", "tags": {"1x": "a"}}, "begin with a letter"),
        ({"dialect": "dogstatsd", "tags": {"a|b": "a"}}, "begin with a letter"),
        ({"dialect": "dogstatsd", "tags": {f"t{number}": "a" for number in range(17)}}, "at most 16"),
    ],
)
def test_what_cannot_be(said: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        StatsDConfig(**said)
