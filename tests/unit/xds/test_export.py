"""What is printed for whoever starts an Envoy."""

from __future__ import annotations

from pathlib import Path

import pytest

from composemesh.xds.bootstrap import checked
from composemesh.xds.export import Wanted, alone, export
from unit.xds.envoy import validate
from unit.xds.meshes import SHOP, snapshot


def test_a_bootstrap_says_whom_it_stands_for_and_where_to_ask(tmp_path: Path) -> None:
    wanted = Wanted.read({"caller": "productpage", "server": "http://10.0.0.1:15011", "admin": "127.0.0.1:19000"})
    said = export(snapshot(), SHOP, wanted)
    node = checked(said["bootstrap"]).node
    assert (node.id, node.metadata["WORKLOAD"]) == ("sidecar~productpage", "productpage")
    assert said["bootstrap"] == alone(wanted)
    server = checked(said["bootstrap"]).static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0]
    assert server.endpoint.address.socket_address.port_value == 15011
    assert validate(said["bootstrap"], tmp_path) == ""


def test_addresses_are_those_at_which_it_listens() -> None:
    said = export(snapshot(), SHOP, Wanted("productpage", static=True, listen="127.200.0.0/16"))
    bound = {
        (listener.name, listener.address.socket_address.address)
        for listener in checked(said["bootstrap"]).static_resources.listeners
    }
    assert bound == {(f"{each['host']}:{each['port']}", each["address"]) for each in said["addresses"]}
    assert ("reviews", 9080) in {(each["host"], each["port"]) for each in said["addresses"]}
    assert all(each["address"].startswith("127.200.") for each in said["addresses"])


def test_two_callers_do_not_share_an_address() -> None:
    first, second = (export(snapshot(), SHOP, Wanted(caller))["addresses"] for caller in ("productpage", "ratings"))
    assert not {each["address"] for each in first} & {each["address"] for each in second}


def test_nobody_is_stood_for_who_is_not_there() -> None:
    with pytest.raises(LookupError, match="nobody"):
        export(snapshot(), SHOP, Wanted("nobody"))
    with pytest.raises(ValueError, match="only a mesh that runs"):
        alone(Wanted("nobody", static=True))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "caller is missing"),
        ({"listen": "127.0.0.1/8"}, "has host bits set"),
        ({"listen": "somewhere"}, "neither original_dst nor an IPv4 network"),
        ({"transport": "pigeon"}, "transport is one of ads, delta, rest"),
        ({"server": "localhost"}, "'localhost' is not HOST:PORT"),
        ({"admin": ":0"}, "is not HOST:PORT"),
    ],
)
def test_what_makes_no_sense_is_named(said: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Wanted.read({"caller": "productpage", **said} if said else {})
