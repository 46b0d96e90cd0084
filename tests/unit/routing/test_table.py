"""The table: compiled when asked for, kept while the same, and most specific first."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.model.origin import Origin
from composemesh.model.route import (
    ConnectionMatch,
    ConnectionRule,
    Destination,
    HttpMatch,
    HttpRule,
    VirtualHost,
    WeightedDestination,
)
from composemesh.routing import table as module
from composemesh.routing.request import Opening
from composemesh.routing.resolve import resolve_connection
from composemesh.routing.table import Table

RULES = (HttpRule(),)


def host(name: str, *gateways: str, line: int = 1, rules: tuple[HttpRule, ...] = RULES) -> VirtualHost:
    return VirtualHost((name,), gateways or ("mesh",), http=rules, origin=Origin("VirtualService", name, "f", line))


def lines(candidates: Any) -> list[int]:
    return [candidate.host.origin.line for candidate in candidates]


def test_exact_names_before_patterns_and_patterns_by_length() -> None:
    table = Table([host("*", line=1), host("*.x.y", line=2), host("*.y", line=3), host("a.x.y", line=4)])
    assert lines(table.http("a.x.y")) == [4]
    assert lines(table.http("b.x.y")) == [2]
    assert lines(table.http("b.y")) == [3]
    assert lines(table.http("other")) == [1]


def test_two_that_name_a_host_are_joined_in_order() -> None:
    assert lines(Table([host("a", line=2), host("b"), host("a", line=1)]).http("a")) == [2, 1]


def test_what_other_gateways_have_hides_nothing() -> None:
    table = Table([host("*", line=1), host("a", "web", line=2)])
    assert lines(table.http("a")) == [1]
    assert lines(table.http("a", "web")) == [2]
    assert table.http("b", "web") == ()
    assert (table.names("a"), table.binds(), table.binds("web"), table.binds("other")) == (False, True, True, False)


def test_a_match_may_name_gateways_of_its_own() -> None:
    rules = (HttpRule((HttpMatch(gateways=("web",)), HttpMatch())),)
    table = Table([host("a", rules=rules)])
    assert len(table.http("a")) == 1
    assert len(table.http("a", "web")) == 1


def test_what_an_edit_leaves_as_it_was_is_kept_and_what_it_changes_is_not() -> None:
    before = Table([host("a"), host("b", line=1)])
    old_a, old_b = before.http("a"), before.http("b")
    after = Table([host("b", line=2), host("a")], before)
    assert after.http("a")[0] is old_a[0]
    assert after.http("b")[0] is not old_b[0]


def test_names_that_strangers_ask_for_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HOSTS", 10)
    table = Table([host("*", "web")])
    for number in range(100):
        assert len(table.http(f"{number}.example", "web")) == 1
    assert len(table._http) <= 10


def test_connections_meet_the_rules_of_their_kind() -> None:
    to = (WeightedDestination(Destination("reviews")),)
    tls = ConnectionRule((ConnectionMatch(sni_hosts=("*.x.com",), port=443),), to)
    tcp = ConnectionRule((ConnectionMatch(destination_subnets=("10.0.0.0/8",)),), to)
    table = Table([VirtualHost(("reviews",), tls=(tls,), tcp=(tcp,))])

    def led(port: int, address: str = "10.1.2.3", sni: str = "") -> bool:
        opening = Opening(address, port, sni=sni, source_labels={})
        return resolve_connection(table.connections("reviews", tls=bool(sni)), opening) is not None

    assert led(443, sni="a.x.com")
    assert not led(443, sni="x.com")
    assert not led(444, sni="a.x.com")
    assert led(1)
    assert not led(1, "11.0.0.1")
    assert not led(1, "not an address")
