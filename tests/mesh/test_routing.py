"""Rules on real sockets: which match decides, which instance answers, and where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from composemesh.model.flag import Flag
from composemesh.model.route import HttpMatch, MatchKind, StringMatch, VirtualHost
from mesh.net import PORT, Net
from mesh.routes import (
    Client,
    add_versions,
    applied,
    apply,
    configure,
    connect,
    exact,
    planned_anew,
    prefix,
    regex,
    rule,
    telling,
    to,
)

ANY = StringMatch(MatchKind.PRESENT)


async def test_a_header_decides_and_the_rest_goes_elsewhere(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    jason = rule(to("v2"), match=HttpMatch(headers={"end-user": exact("jason")}), name="jason")
    configure(net, jason, rule(to("v1")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask(fields={"end-user": "jason"})).body == b"v2"
    assert (await client.ask()).body == b"v1"
    first, second = await net.records.next(), await net.records.next(2)
    assert (first.route, first.destination.version) == ("jason", "v2")
    assert second.destination.version == "v1"
    assert (first.headers, second.headers) == ({"end-user": "jason"}, {})


async def test_a_record_has_the_headers_that_its_rule_compares_but_for_secrets(net: Net) -> None:
    versions = await add_versions(net, "v1")
    asked = dict.fromkeys(("x-a", "cookie", "authorization"), ANY)
    configure(net, rule(to("v1"), match=HttpMatch(headers=asked)))
    await applied(net)
    client = await connect(net, versions["v1"])
    sent = {"x-a": "b" * 1000, "cookie": "secret", "authorization": "secret", "x-other": "c"}
    assert (await client.ask(fields=sent)).status == 200
    assert (await net.records.next()).headers == {"x-a": "b" * 256}


MATCHES: dict[str, tuple[HttpMatch, dict[str, Any], dict[str, Any] | None]] = {
    "exact path": (HttpMatch(uri=exact("/a")), {"target": "/a?b=c"}, {"target": "/a/"}),
    "prefix": (HttpMatch(uri=prefix("/a")), {"target": "/ab"}, {"target": "/b"}),
    "regex": (HttpMatch(uri=regex("/[a-c]+")), {"target": "/abc"}, {"target": "/abcd"}),
    "segments": (
        HttpMatch(uri=StringMatch(MatchKind.SEGMENTS, "/a/")),
        {"target": "/a/b"},
        {"target": "/ab"},
    ),
    "path of any case": (
        HttpMatch(uri=StringMatch(MatchKind.PREFIX, "/API", True)),
        {"target": "/apiary"},
        {"target": "/ap"},
    ),
    "scheme": (HttpMatch(scheme=exact("http")), {}, None),
    "method": (HttpMatch(method=exact("PUT")), {"method": "PUT"}, {"method": "POST"}),
    "authority": (HttpMatch(authority=prefix("reviews:")), {"host": "reviews:8080"}, {}),
    "header present": (HttpMatch(headers={"x-a": ANY}), {"fields": {"X-A": ""}}, {}),
    "header absent": (HttpMatch(without_headers={"x-a": ANY}), {}, {"fields": {"x-a": "1"}}),
    "header regex": (
        HttpMatch(headers={"cookie": regex("^(.*?;)?(user=jason)(;.*)?$")}),
        {"fields": {"cookie": "a=b;user=jason"}},
        {"fields": {"cookie": "user=jasons"}},
    ),
    "header without": (
        HttpMatch(without_headers={"x-a": exact("no")}),
        {"fields": {"x-a": "yes"}},
        {"fields": {"x-a": "no"}},
    ),
    "pseudo header": (HttpMatch(headers={":method": exact("PUT")}), {"method": "PUT"}, {}),
    "query": (HttpMatch(query_params={"q": exact("1")}), {"target": "/?a=2&q=1"}, {"target": "/?q=2&q=1"}),
    "query without a value": (HttpMatch(query_params={"q": exact("")}), {"target": "/?q"}, {"target": "/?p"}),
    "port": (HttpMatch(port=PORT), {}, None),
    "source label": (HttpMatch(source_labels={"app": "caller"}), {}, None),
    "all of them": (
        HttpMatch(uri=prefix("/a"), method=exact("GET"), headers={"x": exact("1")}),
        {"target": "/a", "fields": {"x": "1"}},
        {"target": "/a"},
    ),
}


@pytest.mark.parametrize("name", MATCHES)
async def test_each_match(net: Net, name: str) -> None:
    match, fits, differs = MATCHES[name]
    versions = await add_versions(net, "v1", "v2")
    configure(net, rule(to("v2"), match=match), rule(to("v1")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask(**fits)).body == b"v2"
    if differs is not None:
        assert (await client.ask(**differs)).body == b"v1"


async def test_no_rule_that_matches_is_a_404(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to("v1"), match=HttpMatch(uri=prefix("/a"))))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask("/b")).status == 404
    record = await net.records.next()
    assert (record.flag, record.destination.service) == (Flag.NO_ROUTE_FOUND, "reviews")


async def test_rules_for_other_callers_and_ports_are_as_good_as_none(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    matches = (HttpMatch(source_labels={"app": "stranger"}), HttpMatch(port=1), HttpMatch(gateways=("web",)))
    configure(net, rule(to("v2"), match=matches))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert {(await client.ask()).body for _ in range(4)} == {b"v1", b"v2"}


@pytest.mark.parametrize(("host", "subset"), [("nowhere", ""), ("reviews", "v9")])
async def test_an_unknown_destination_is_a_503(net: Net, host: str, subset: str) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(subset, host=host)))
    await applied(net)
    client = await connect(net, versions["v1"])
    answer = await client.ask()
    assert (answer.status, answer.fields["x-composemesh-flag"]) == (503, "NC")
    assert (await net.records.next()).flag is Flag.NO_CLUSTER_FOUND


async def test_a_subset_of_nobody_is_unhealthy(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to("v3")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask()).status == 503
    record = await net.records.next()
    assert (record.flag, record.destination.service) == (Flag.NO_HEALTHY_UPSTREAM, "reviews")


async def test_a_destination_may_be_another_service_and_another_port(net: Net) -> None:
    versions = await add_versions(net, "v1")
    ratings = net.add("ratings")
    await net.serve(ratings, telling(b"ratings"), 8099)
    configure(net, rule(to(host="ratings", port=8099)))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask()).body == b"ratings"
    record = await net.records.next()
    assert record.destination.service == "ratings"
    assert record.upstream_address.endswith(":8099")


async def test_a_name_that_means_one_version_means_it_whatever_the_rules_say(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    configure(net, rule(to("v1")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask(host="reviews-v2")).body == b"v2"
    assert (await client.ask(host=versions["v2"].addresses[0])).body == b"v2"
    assert (await client.ask(host="reviews")).body == b"v1"
    apply(
        net, VirtualHost(("reviews",), http=(rule(to("v1")),)), VirtualHost(("reviews-v2",), http=(rule(to("v1")),))
    )
    await applied(net)
    assert (await client.ask(host="reviews-v2")).body == b"v1"


async def test_rules_for_another_name_of_the_whole_service(net: Net) -> None:
    """A network alias that all instances share has its own rules, where there are some, and else the service's."""
    versions = await add_versions(net, "v1", "v2")
    for workload in versions.values():
        net.change(workload, attachments=(replace(workload.attachments[0], aliases=("critics",)),))
    reviews = VirtualHost(("reviews",), http=(rule(to("v1")),))
    apply(net, reviews)
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask(host="critics")).body == b"v1"
    apply(net, reviews, VirtualHost(("critics",), http=(rule(to("v2")),)))
    await applied(net)
    assert (await client.ask(host="critics:8080")).body == b"v2"
    assert (await client.ask(host="reviews")).body == b"v1"


async def test_a_service_with_one_other_port_is_dialled_there(net: Net) -> None:
    versions = await add_versions(net, "v1")
    ratings = net.add("ratings")
    await net.serve(ratings, telling(b"ratings"), 8099)
    configure(net, rule(to(host="ratings")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask()).status == 503  # the caller's port: nobody listens there
    async with planned_anew(net):
        net.change(ratings, ports=(8099,))
    assert (await client.ask()).body == b"ratings"
    async with planned_anew(net):
        net.change(ratings, ports=(8098, 8099))
    assert (await client.ask()).status == 503


async def test_the_only_instance_can_be_named_past_the_rules_too(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to("v9")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask()).status == 503
    assert (await client.ask(host="reviews-v1")).status == 200


async def test_whoever_comes_from_outside_meets_no_rules(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    configure(net, rule(to("v2")))
    await applied(net)
    client = Client(await net.connect_from_outside(versions["v1"]))
    assert (await client.ask()).body == b"v1"


async def test_the_address_decides_and_not_what_the_request_calls_it(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    configure(net, rule(to("v2")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask(host="anything.example")).body == b"v2"


async def test_wildcard_hosts_and_the_most_specific_one(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    everything = VirtualHost(("*",), http=(rule(to("v1")),))
    apply(net, everything)
    await applied(net)
    client = await connect(net, versions["v1"])
    assert {(await client.ask()).body for _ in range(3)} == {b"v1"}
    apply(net, everything, VirtualHost(("reviews",), http=(rule(to("v2")),)))
    await applied(net)
    assert {(await client.ask()).body for _ in range(3)} == {b"v2"}


async def test_for_an_address_outside_the_mesh_the_authority_decides(net: Net) -> None:
    versions = await add_versions(net, "v1")
    outside = net.add("legacy", network="elsewhere")  # on no network of the caller's: to it, an address like any
    await net.serve(outside, telling(b"legacy"))
    apply(net, VirtualHost(("api.example.com",), http=(rule(to("v1")),)))
    await applied(net)
    client = await connect(net, outside)
    assert (await client.ask(host="api.example.com")).body == b"v1"
    assert (await client.ask(host="other.example.com")).body == b"legacy"
    assert versions


async def test_churn_never_recompiles(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to("v1")))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.ask()
    table = net.fleet.planner.table
    compiled = table.http("reviews")
    plan = net.fleet.planner.plan
    second = net.add("reviews-v1")
    await net.serve(second, telling(b"v1"))
    net.remove(second)
    await client.ask()
    assert net.fleet.planner.plan is not plan
    assert net.fleet.planner.table is table
    assert net.fleet.planner.table.http("reviews") is compiled


async def test_rules_that_an_edit_leaves_alone_keep_their_place_in_a_split(net: Net) -> None:
    await add_versions(net, "v1", "v2")
    split = VirtualHost(("reviews",), http=(rule(to("v1", 1), to("v2", 1)),))
    apply(net, split)
    await applied(net)
    (before,) = net.fleet.planner.table.http("reviews")
    apply(net, VirtualHost(("reviews",), http=(rule(to("v1", 1), to("v2", 1)),)), VirtualHost(("ratings",)))
    await applied(net)
    (after,) = net.fleet.planner.table.http("reviews")
    assert after is before


async def test_ten_thousand_requests_at_90_10_are_within_one_percent(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    configure(net, rule(to("v1", 90), to("v2", 10)))
    await applied(net)
    client = await connect(net, versions["v1"])
    counts = {b"v1": 0, b"v2": 0}
    for _ in range(100):
        await client.stream.send_all(b"GET / HTTP/1.1\r\nHost: reviews\r\n\r\n" * 100)
        data = b""
        while data.count(b"x-target") < 100 or data.count(b"\r\n\r\nv") < 100:
            data += await client.stream.receive_some()
        for name in counts:
            counts[name] += data.count(b"\r\n\r\n" + name)
    assert sum(counts.values()) == 10_000
    assert abs(counts[b"v2"] - 1000) <= 100
