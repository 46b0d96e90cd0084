"""One rule, and what of it stands in the route."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.model.origin import Origin
from composemesh.model.policy import (
    Balance,
    Balancer,
    ConsistentHash,
    DestinationPolicy,
    HashKey,
    Retry,
    TrafficPolicy,
)
from composemesh.model.route import (
    Abort,
    Delay,
    Destination,
    DirectResponse,
    Fault,
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRule,
    MatchKind,
    Mirror,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.snapshot import MeshSettings, Snapshot
from composemesh.xds.resources import CLUSTER, ROUTE, Generated, Node, generate
from unit.xds.meshes import SHOP, snapshot, told

NODE = Node("sidecar~productpage")
GRPC = Node("sidecar~productpage", user_agent="gRPC Python")
ORIGIN = Origin("VirtualService", "x", "mesh.yaml", 7)
TO = (WeightedDestination(Destination("reviews")),)


def made(rule: HttpRule, node: Node = NODE, **said: Any) -> Generated:
    return generate(snapshot(virtual_hosts=(VirtualHost(("reviews",), http=(rule,)),), **said), SHOP, node)


def route(rule: HttpRule, node: Node = NODE, **said: Any) -> dict[str, Any]:
    """The only route of a rule."""
    (host, *_) = told(made(rule, node, **said), ROUTE, "reviews:9080")["virtual_hosts"]
    (found,) = host["routes"]
    return dict(found)


def ruled(*, match: HttpMatch | None = None, to: tuple[WeightedDestination, ...] = TO, **what: Any) -> HttpRule:
    return HttpRule((match,) if match is not None else (), to, origin=ORIGIN, **what)


# === matches ===


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (None, {"prefix": "/"}),
        (StringMatch(MatchKind.EXACT, "/a"), {"path": "/a"}),
        (StringMatch(MatchKind.EXACT, "/a", ignore_case=True), {"path": "/a", "case_sensitive": False}),
        (StringMatch(MatchKind.PREFIX, "/a"), {"prefix": "/a"}),
        (StringMatch(MatchKind.REGEX, "/a+"), {"safe_regex": {"regex": "/a+"}}),
        (StringMatch(MatchKind.SEGMENTS, "/a/"), {"path_separated_prefix": "/a"}),
        (StringMatch(MatchKind.SEGMENTS, "/"), {"prefix": "/"}),
        (StringMatch(MatchKind.PRESENT), {"prefix": "/"}),
    ],
)
def test_paths(uri: StringMatch | None, said: dict[str, Any]) -> None:
    assert route(ruled(match=HttpMatch(uri=uri)))["match"] == said


def test_a_missing_header_is_an_empty_one_to_a_pattern_that_must_not_match() -> None:
    match = HttpMatch(without_headers={"x": StringMatch(MatchKind.EXACT, "1"), "y": StringMatch(MatchKind.PRESENT)})
    assert route(ruled(match=match))["match"]["headers"] == [
        {
            "name": "x",
            "string_match": {"exact": "1"},
            "invert_match": True,
            "treat_missing_header_as_empty": True,
        },
        {"name": "y", "present_match": True, "invert_match": True},
    ]


def test_rules_of_other_callers_and_ports_are_left_out() -> None:
    others = HttpRule((HttpMatch(source_labels={"app": "ratings"}), HttpMatch(port=80)), TO, name="theirs")
    assert route(others)["name"] == "default"


def test_a_request_that_meets_none_of_the_rules_goes_nowhere() -> None:
    match = HttpMatch(uri=StringMatch(MatchKind.EXACT, "/only"))
    (host, *_) = told(made(ruled(match=match)), ROUTE, "reviews:9080")["virtual_hosts"]
    assert [each["match"] for each in host["routes"]] == [{"path": "/only"}]


# === where it goes ===


def test_no_limit_means_no_limit() -> None:
    assert route(ruled())["route"]["timeout"] == "0s"
    assert route(ruled(timeout=1.5))["route"]["timeout"] == "1.500s"


def test_what_nobody_said_of_retries_repeats_only_what_reached_nobody() -> None:
    policy = route(ruled())["route"]["retry_policy"]
    assert (policy["retry_on"], policy["num_retries"]) == ("connect-failure,refused-stream,reset-before-request", 2)
    assert "retry_policy" not in route(ruled(retry=Retry(attempts=0)))["route"]
    policy = route(ruled(retry=Retry(3, 0.5, frozenset({"5xx"}), frozenset({418}), back_off=0.1)))["route"][
        "retry_policy"
    ]
    assert policy["retry_on"] == "5xx,retriable-status-codes"
    assert policy["retriable_status_codes"] == [418]
    assert policy["per_try_timeout"] == "0.500s"
    assert policy["retry_back_off"] == {"base_interval": "0.100s", "max_interval": "1s"}


def test_a_destination_that_is_not_there_is_named_and_has_no_cluster() -> None:
    rule = ruled(to=(WeightedDestination(Destination("reviews", "v7")),))
    assert route(rule)["route"]["cluster"] == "outbound|9080|v7|reviews"
    assert "outbound|9080|v7|reviews" not in made(rule)[CLUSTER]


def test_a_split_without_weight_is_answered() -> None:
    nobody = tuple(WeightedDestination(Destination(host)) for host in ("reviews", "ratings"))
    assert route(ruled(to=nobody))["direct_response"] == {"status": 503}


def test_arms_have_weights_and_headers_of_their_own() -> None:
    change = Headers(HeaderChange(set=(("x-arm", "50%"), ("host", "arm.example")), remove=("x-old",)))
    arms = (WeightedDestination(Destination("reviews"), 90), WeightedDestination(Destination("ratings"), 10, change))
    first, second = route(ruled(to=arms))["route"]["weighted_clusters"]["clusters"]
    assert (first["name"], first["weight"]) == ("outbound|9080||reviews", 90)
    assert second["host_rewrite_literal"] == "arm.example"
    assert second["request_headers_to_remove"] == ["x-old"]
    assert [each["header"] for each in second["request_headers_to_add"]] == [{"key": "x-arm", "value": "50%%"}]


def test_a_hash_is_asked_of_the_route() -> None:
    said = {
        HashKey.HEADER: {"header": {"header_name": "x"}},
        HashKey.QUERY: {"query_parameter": {"name": "x"}},
        HashKey.SOURCE_IP: {"connection_properties": {"source_ip": True}},
        HashKey.COOKIE: {"cookie": {"name": "x", "ttl": "0s", "path": "/"}},
    }
    for key, expected in said.items():
        hashed = ConsistentHash(key, "x", cookie_path="/", cookie_ttl=0.0)
        policy = TrafficPolicy(Balance(Balancer.CONSISTENT_HASH, hashed))
        policies = {"reviews": DestinationPolicy("reviews", policy)}
        assert route(ruled(), policies=policies)["route"]["hash_policy"] == [expected]


def test_mirrors_and_faults_have_their_share() -> None:
    rule = ruled(mirrors=(Mirror(Destination("ratings"), 12.5),), fault=Fault(Delay(0.02, 0.5), Abort(100.0, 418)))
    found = route(rule)
    (mirror,) = found["route"]["request_mirror_policies"]
    assert mirror["cluster"] == "outbound|9080||ratings"
    assert mirror["runtime_fraction"]["default_value"] == {"numerator": 125_000, "denominator": "MILLION"}
    fault = found["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert fault["delay"] == {"fixed_delay": "0.020s", "percentage": {"numerator": 5_000, "denominator": "MILLION"}}
    assert fault["abort"]["http_status"] == 418


# === paths and redirects ===


@pytest.mark.parametrize(
    ("uri", "new", "said"),
    [
        (StringMatch(MatchKind.PREFIX, "/a"), "/b", {"prefix_rewrite": "/b"}),
        (None, "/b", {"prefix_rewrite": "/b"}),
        (StringMatch(MatchKind.SEGMENTS, "/a"), "/b/", {"prefix_rewrite": "/b"}),
        (
            StringMatch(MatchKind.SEGMENTS, "/a"),
            "/",
            {"regex_rewrite": {"pattern": {"regex": "^/a/?"}, "substitution": "/"}},
        ),
        (
            StringMatch(MatchKind.PREFIX, "/a.b"),
            "",
            {"regex_rewrite": {"pattern": {"regex": r"^/a\.b/?"}, "substitution": "/"}},
        ),
    ],
)
def test_rewrites(uri: StringMatch | None, new: str, said: dict[str, Any]) -> None:
    found = route(ruled(match=HttpMatch(uri=uri), rewrite=Rewrite(new)))["route"]
    assert {name: value for name, value in found.items() if "rewrite" in name} == said


def test_redirects() -> None:
    assert route(ruled(redirect=Redirect(uri="/x", code=308)))["redirect"] == {
        "path_redirect": "/x",
        "response_code": "PERMANENT_REDIRECT",
    }
    derived = Redirect(derive_port=PortOfRedirect.REQUEST_PORT, scheme="HTTPS")
    assert route(ruled(redirect=derived))["redirect"] == {"scheme_redirect": "https", "port_redirect": 9080}


def test_long_answers_have_room() -> None:
    rule = ruled(to=(), direct_response=DirectResponse(200, b"x" * 5000))
    assert told(made(rule), ROUTE, "reviews:9080")["max_direct_response_body_size_bytes"] == 5000


# === what can't be said ===


def test_what_a_proxyless_client_cannot_do_is_named_with_its_place() -> None:
    said = made(ruled(rewrite=Rewrite("/x"), timeout=2.0, mirrors=(Mirror(Destination("ratings")),)), GRPC)
    assert {(each.message, each.file, each.line) for each in said.problems} == {
        ("proxyless gRPC cannot be told of rewrites.", "mesh.yaml", 7),
        ("proxyless gRPC cannot be told of mirrors.", "mesh.yaml", 7),
    }
    (found,) = told(said, ROUTE, "reviews:9080")["virtual_hosts"][0]["routes"]
    assert found["route"] == {
        "cluster": "outbound|9080||reviews",
        "max_stream_duration": {"max_stream_duration": "2s"},
    }


def test_a_proxyless_client_does_not_get_a_route_that_would_match_too_much() -> None:
    match = HttpMatch(query_params={"a": StringMatch(MatchKind.EXACT, "1")})
    said = made(ruled(match=match), GRPC)
    assert "routes" not in told(said, ROUTE, "reviews:9080")["virtual_hosts"][0]
    assert "query parameters" in said.problems[0].message


def test_a_value_that_fits_no_message_costs_its_rule_alone() -> None:
    fine = HttpRule((), TO, name="fine")
    host = VirtualHost(("reviews",), http=(ruled(timeout=1e15), fine))
    said = generate(snapshot(virtual_hosts=(host,)), SHOP, NODE)
    assert [each["name"] for each in told(said, ROUTE, "reviews:9080")["virtual_hosts"][0]["routes"]] == ["fine"]
    assert [each.line for each in said.problems] == [7]


def test_names_of_parts_lead_to_them() -> None:
    rule = ruled()
    hosts = told(made(rule), ROUTE, "reviews:9080")["virtual_hosts"]
    assert [(each["domains"], each["routes"][0]["name"]) for each in hosts] == [
        (["*"], str(ORIGIN)),
        (["reviews-v1"], "default"),
        (["reviews-v2"], "default"),
    ]
    assert hosts[1]["routes"][0]["route"]["cluster"] == "outbound|9080|@reviews-v1|reviews"


def test_everything_is_the_same_every_time() -> None:
    said = Snapshot("shop", mesh=MeshSettings(), virtual_hosts=(VirtualHost(("reviews",), http=(ruled(),)),))
    assert generate(said, SHOP, NODE) == generate(said, SHOP, NODE)
