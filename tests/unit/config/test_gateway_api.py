"""Gateway API: the same model in its words, with its own precedence and prefixes of whole segments."""

from __future__ import annotations

import pytest

from composemesh.config.resources import Compiled
from composemesh.model.gateway import ServerProtocol, TlsMode
from composemesh.model.route import (
    Destination,
    DirectResponse,
    MatchKind,
    Mirror,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
)
from unit.config.istio import compiled, errors, spec, warnings

API = "gateway.networking.k8s.io/v1"
AT_WEB = "parentRefs: [{name: web}]\nhostnames: [Shop.example]"


def route(rules: str, parents: str = AT_WEB, kind: str = "HTTPRoute") -> Compiled:
    return compiled(spec(kind, f"{parents}\nrules:\n{rules}", API))


def test_the_most_specific_match_decides() -> None:
    made = route(
        """
- backendRefs: [{name: reviews, port: 9080}]
- matches: [{path: {value: /api}}, {path: {type: Exact, value: /}}]
  backendRefs: [{name: reviews, port: 1}]
- matches:
  - path: {type: PathPrefix, value: /api/v2}
  - path: {type: PathPrefix, value: /api}
    method: GET
  - path: {type: PathPrefix, value: /api}
    headers: [{name: X-A, value: "1"}]
  backendRefs: [{name: reviews, port: 2}]
"""
    )
    assert not made.problems
    (virtual,) = made.virtual_hosts
    assert (virtual.hosts, virtual.gateways) == (("shop.example",), ("web",))
    paths = [(rule.matches[0].uri, rule.destinations[0].destination.port) for rule in virtual.http]
    segments = MatchKind.SEGMENTS
    assert paths == [
        (StringMatch(MatchKind.EXACT, "/"), 1),
        (StringMatch(segments, "/api/v2"), 2),
        (StringMatch(segments, "/api"), 2),
        (StringMatch(segments, "/api"), 2),
        (StringMatch(segments, "/api"), 1),
        (None, 9080),
    ]
    assert virtual.http[2].matches[0].method == StringMatch(MatchKind.EXACT, "GET")
    assert virtual.http[3].matches[0].headers == {"x-a": StringMatch(MatchKind.EXACT, "1")}
    assert [rule.matches[0].origin.line for rule in virtual.http] == [11, 14, 15, 17, 11, 10]


def test_routes_for_the_same_hosts_are_one() -> None:
    def one(name: str, path: str) -> str:
        rules = f"rules: [{{matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: {name}}}]}}]"
        return spec("HTTPRoute", f"{AT_WEB}\n{rules}", API, name)

    istio = spec("VirtualService", "hosts: [shop.example]\ngateways: [web]\nhttp: [{redirect: {uri: /}}]", name="x")
    made = compiled("---\n".join([one("a", "/"), istio, one("b", "/deep/er"), one("c", "/deep")]))
    assert not made.problems
    joined, other = made.virtual_hosts
    assert [rule.matches[0].uri.value for rule in joined.http] == ["/deep/er", "/deep", "/"]
    assert [rule.origin.name for rule in joined.http] == ["b", "c", "a"]
    assert other.origin.kind == "VirtualService"


def test_filters() -> None:
    made = route(
        """
- matches: [{path: {value: /a}, queryParams: [{name: q, type: RegularExpression, value: "[0-9]+"}]}]
  filters:
  - type: RequestHeaderModifier
    requestHeaderModifier: {set: [{name: A, value: "1"}], add: [{name: b, value: "2"}], remove: [C]}
  - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}
  - type: RequestMirror
    requestMirror: {backendRef: {name: ratings, port: 9080}, fraction: {numerator: 1, denominator: 4}}
  - {type: RequestMirror, requestMirror: {backendRef: {name: details}, percent: 7}}
  - {type: URLRewrite, urlRewrite: {hostname: b.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}
  - {type: CORS, cors: {allowOrigins: ["*"], allowMethods: [GET], maxAge: 60, allowCredentials: true}}
  timeouts: {request: 10s, backendRequest: 2s}
  retry: {codes: [503], attempts: 3, backoff: 100ms}
  backendRefs:
  - {name: reviews, port: 9080, weight: 90}
  - name: ratings
    weight: 10
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: D, value: "3"}]}}]
  - {name: details, weight: 0}
"""
    )
    assert not made.problems
    (rule,) = made.virtual_hosts[0].http
    assert rule.matches[0].query_params == {"q": StringMatch(MatchKind.REGEX, "[0-9]+")}
    assert rule.headers.request.set == (("a", "1"),)
    assert (rule.headers.request.add, rule.headers.request.remove) == ((("b", "2"),), ("c",))
    assert rule.headers.response.remove == ("server",)
    assert rule.mirrors == (Mirror(Destination("ratings", port=9080), 25.0), Mirror(Destination("details"), 7.0))
    assert rule.rewrite == Rewrite("/b", "b.example")
    assert rule.cors.allow_origins == (StringMatch(MatchKind.REGEX, ".*"),)
    assert (rule.timeout, rule.retry.per_try_timeout, rule.retry.attempts) == (10.0, 2.0, 3)
    assert (rule.retry.statuses, rule.retry.back_off) == ({503}, 0.1)
    assert [(str(arm.destination), arm.weight) for arm in rule.destinations] == [
        ("reviews:9080", 90),
        ("ratings", 10),
    ]
    assert rule.destinations[1].headers.request.set == (("d", "3"),)


def test_redirects_and_whole_paths() -> None:
    made = route(
        r"""
- matches: [{path: {type: Exact, value: /a}}]
  filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
- matches: [{path: {type: PathPrefix, value: /b}}]
  filters:
  - {type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /c}, port: 8443}}
- matches: [{path: {type: RegularExpression, value: "/x.*"}}]
  filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '/a\1'}}}]
  backendRefs: [{name: reviews}]
- {}
"""
    )
    assert not made.problems
    exact, prefix, rest, expression = made.virtual_hosts[0].http
    assert exact.redirect == Redirect(scheme="https", derive_port=PortOfRedirect.PROTOCOL_DEFAULT, code=301)
    assert prefix.redirect == Redirect(prefix="/c", port=8443, code=302)
    assert expression.rewrite == Rewrite(regex="(?s)^.*$", substitution=r"/a\\1")
    assert rest.direct_response == DirectResponse(500), "a rule without backends"


def test_rules_for_a_service_are_met_by_its_callers() -> None:
    made = route(
        "- backendRefs: [{name: reviews-v2}]", "parentRefs: [{kind: Service, group: '', name: reviews, port: 9080}]"
    )
    (virtual,) = made.virtual_hosts
    assert (virtual.hosts, virtual.gateways) == (("reviews",), ("mesh",))
    assert virtual.http[0].matches[0].port == 9080


def test_a_method_of_grpc_is_a_path() -> None:
    made = route(
        """
- matches:
  - method: {service: shop.Cart, method: Add}
  - method: {service: shop.Cart}
  - method: {method: Get+}
  - method: {type: RegularExpression, service: "shop\\\\..*"}
  - headers: [{name: x, value: y}]
  backendRefs: [{name: cart, port: 50051}]
""",
        kind="GRPCRoute",
    )
    assert not made.problems
    uris = [rule.matches[0].uri for rule in made.virtual_hosts[0].http]
    assert uris == [
        StringMatch(MatchKind.EXACT, "/shop.Cart/Add"),
        StringMatch(MatchKind.PREFIX, "/shop.Cart/"),
        None,
        StringMatch(MatchKind.REGEX, "/(?:shop\\..*)/(?:[^/]+)"),
        StringMatch(MatchKind.REGEX, "/[^/]+/Get\\+"),
    ]


def test_a_gateway() -> None:
    made = compiled(
        spec(
            "Gateway",
            """
gatewayClassName: istio
listeners:
- {name: http, port: 8080, protocol: HTTP}
- {name: https, port: 8443, protocol: HTTPS, hostname: "*.shop.example", tls: {certificateRefs: [{name: a}]}}
- {name: tls, port: 9443, protocol: TLS, tls: {mode: Passthrough}}
""",
            API,
            name="web",
        )
    )
    assert {problem.code for problem in made.problems} == {"without-effect"}
    http, https, tls = made.gateways["web"].servers
    assert (http.protocol, http.hosts, http.tls) == (ServerProtocol.HTTP, ("*",), None)
    assert (https.hosts, https.tls.mode, https.tls.certificate) == (("*.shop.example",), TlsMode.SIMPLE, "")
    assert tls.tls.mode is TlsMode.PASSTHROUGH


def test_a_gateway_of_either_dialect_has_one_name() -> None:
    istio = spec("Gateway", "servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}]", name="web")
    other = spec("Gateway", "listeners: [{name: a, port: 81, protocol: HTTP}]", API, name="web")
    (problem,) = compiled(f"{istio}---\n{other}").problems
    assert problem.code == "duplicate-name"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("- matches: [{path: {value: api}}]", "begin with `/`"),
        ("- matches: [{path: {type: Prefix, value: /}}]", "`PathPrefix`"),
        ("- matches: [{path: {type: RegularExpression, value: '('}}]", "RE2"),
        ("- matches: [{method: get}]", "`GET`"),
        ("- filters: [{type: RequestRedirect}]", "no `requestRedirect`"),
        ("- filters: [{requestRedirect: {}}]", "type` is missing"),
        ("- filters: [{type: RequestRedirect, requestRedirect: {port: 1}}]\n  backendRefs: [{name: a}]", "only one"),
        ("- filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}, fraction: {numerator: 101}}}]",
         "more than all"),
        ("- backendRefs: [{name: a, weight: -1}]", "weight"),
        ("- backendRef: []", "`backendRefs`"),
    ],
)  # fmt: skip
def test_what_a_route_cannot_be(rules: str, words: str) -> None:
    made = route(rules)
    assert words in " ".join(map(str, errors(made)))
    assert not made.virtual_hosts


def test_what_comes_later_and_what_has_no_effect_is_named() -> None:
    made = route(
        "- sessionPersistence: {}\n  backendRefs: [{name: a}]", "parentRefs: [{name: web, sectionName: http}]"
    )
    assert [problem.code for problem in warnings(made)] == ["not-carried-out"] * 2
    (problem,) = route("- backendRefs: [{name: a}]", "hostnames: [a.b]").problems
    assert problem.code == "without-effect"
    (problem,) = compiled(spec("TCPRoute", "rules: []", "gateway.networking.k8s.io/v1alpha2")).problems
    assert problem.code == "not-carried-out"
