"""VirtualService: what its fields mean to the mesh, and what is refused."""

from __future__ import annotations

import pytest

from composemesh.config.resources import Compiled
from composemesh.model.policy import RETRY_ON
from composemesh.model.problem import Severity
from composemesh.model.route import (
    Abort,
    Delay,
    Destination,
    DirectResponse,
    HttpRule,
    MatchKind,
    Mirror,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
)
from unit.config.istio import compiled, errors, spec, warnings


def service(body: str) -> str:
    return spec("VirtualService", body)


def rules(body: str) -> tuple[HttpRule, ...]:
    made = compiled(service(f"hosts: [reviews]\nhttp:\n{body}"))
    assert not made.problems, made.problems
    return made.virtual_hosts[0].http


def rule(body: str) -> HttpRule:
    (one,) = rules(f"- route: [{{destination: {{host: reviews}}}}]\n{body}")
    return one


def test_jasons_rules_keep_their_order_and_their_lines() -> None:
    first, second = rules(
        """
- match:
  - headers: {End-User: {exact: jason}}
    sourceLabels: {app: productpage}
    port: 9080
  route:
  - destination: {host: reviews, subset: v2}
- route:
  - destination: {host: reviews.default.svc.cluster.local, subset: v1, port: {number: 9080}}
    weight: 80
  - destination: {host: reviews, subset: v3}
    weight: 20
    headers: {request: {set: {X-Arm: b}}}
"""
    )
    (match,) = first.matches
    assert match.headers == {"end-user": StringMatch(MatchKind.EXACT, "jason")}
    assert (match.port, match.source_labels) == (9080, {"app": "productpage"})
    assert first.destinations[0].destination == Destination("reviews", "v2")
    assert (first.origin.line, match.origin.line, second.origin.line) == (9, 10, 15)
    assert first.origin.file == "mesh.yaml"
    assert [arm.weight for arm in second.destinations] == [80, 20]
    assert second.destinations[0].destination == Destination("reviews", "v1", 9080)
    assert second.destinations[1].headers.request.set == (("x-arm", "b"),)


def test_every_condition_of_a_match() -> None:
    (one,) = rules(
        """
- match:
  - name: all
    uri: {prefix: /Api}
    ignoreUriCase: true
    scheme: {exact: https}
    method: {regex: GET|POST}
    authority: {prefix: shop.}
    headers: {a: {}, b: {regex: "x+"}, ":path": {prefix: /}}
    withoutHeaders: {c: {exact: "1"}, d: {}, e: {regex: "*"}}
    queryParams: {q: {exact: ""}, r: {regex: "[0-9]+"}}
    gateways: [mesh, web]
  - uri: {regex: "/v[0-9]"}
  route: [{destination: {host: reviews}}]
"""
    )
    match, other = one.matches
    assert match.name == "all"
    assert match.uri == StringMatch(MatchKind.PREFIX, "/Api", ignore_case=True)
    assert (match.scheme.value, match.method.kind, match.authority.kind) == (
        "https",
        MatchKind.REGEX,
        MatchKind.PREFIX,
    )
    assert match.headers["a"].kind is MatchKind.PRESENT
    assert match.headers[":path"].value == "/"
    assert [match.without_headers[name].kind for name in "cde"] == [
        MatchKind.EXACT, MatchKind.PRESENT, MatchKind.PRESENT,
    ]  # fmt: skip
    assert match.query_params["q"] == StringMatch(MatchKind.EXACT, "")
    assert match.gateways == ("mesh", "web")
    assert other.uri == StringMatch(MatchKind.REGEX, "/v[0-9]")


def test_everything_that_a_rule_can_do() -> None:
    one = rule(
        """
  name: everything
  timeout: 1m1.5s
  rewrite: {uri: /new, authority: other.example}
  retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx, connect-failure,503", backoff: 50ms}
  fault:
    delay: {fixedDelay: 7s, percentage: {value: 0.5}}
    abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}
  mirrors:
  - destination: {host: reviews, subset: v3}
    percentage: {value: 25}
  - destination: {host: ratings}
  headers:
    request: {set: {A: "1"}, add: {b: "2"}, remove: [C]}
    response: {remove: [server]}
  corsPolicy:
    allowOrigins: [{regex: "https://.*"}]
    allowMethods: [GET]
    allowHeaders: [x-a]
    exposeHeaders: [x-b]
    maxAge: 24h
    allowCredentials: true
    unmatchedPreflights: IGNORE
"""
    )
    assert (one.name, one.timeout) == ("everything", 61.5)
    assert one.rewrite == Rewrite("/new", "other.example")
    assert one.retry.attempts == 3
    assert (one.retry.per_try_timeout, one.retry.back_off) == (2.0, 0.05)
    assert (one.retry.on, one.retry.statuses) == ({"5xx", "connect-failure"}, {503})
    assert one.fault.delay == Delay(7.0, 0.5)
    assert one.fault.abort == Abort(100.0, grpc_status=14)
    assert one.mirrors == (Mirror(Destination("reviews", "v3"), 25.0), Mirror(Destination("ratings"), 100.0))
    assert (one.headers.request.set, one.headers.request.remove) == ((("a", "1"),), ("c",))
    assert one.headers.response.remove == ("server",)
    assert (one.cors.max_age, one.cors.allow_credentials) == (86400.0, True)
    assert one.cors.forward_unmatched_preflights is False


def test_what_is_unsaid_has_istios_default() -> None:
    one = rule("  retries: {attempts: 1}")
    assert (one.timeout, one.fault, one.cors, one.mirrors) == (None, None, None, ())
    assert (one.retry.on, one.retry.back_off, one.retry.ignore_previous_hosts) == (RETRY_ON, 0.025, True)


def test_answers_of_the_meshs_own() -> None:
    redirect, other, direct, coded = rules(
        """
- match: [{uri: {prefix: /old}}]
  redirect: {prefixRewrite: /new, authority: b, derivePort: FROM_REQUEST_PORT, scheme: https, redirectCode: 308}
- redirect: {uri: /there, port: 8443}
- directResponse: {status: 503, body: {string: busy}}
- directResponse: {status: 200, body: {bytes: aGk=}}
"""
    )
    derived = PortOfRedirect.REQUEST_PORT
    assert redirect.redirect == Redirect(None, "/new", "b", 0, derived, "https", 308)
    assert other.redirect == Redirect("/there", port=8443)
    assert direct.direct_response == DirectResponse(503, b"busy")
    assert coded.direct_response.body == b"hi"


def test_rewrites_by_expression() -> None:
    one = rule(r"  rewrite: {uriRegexRewrite: {match: '^/a/(.*)', rewrite: '/\1'}}")
    assert one.rewrite == Rewrite(regex="^/a/(.*)", substitution=r"/\1")


def test_rules_for_connections() -> None:
    made = compiled(
        service(
            """
hosts: ["*.example.com", tcp-echo]
gateways: [mesh, istio-system/web, old.prod.svc.cluster.local]
tls:
- match: [{port: 443, sniHosts: [a.example.com, "*.b.example.com"]}]
  route: [{destination: {host: a.example.com}}]
tcp:
- match: [{port: 31400, destinationSubnets: [10.0.0.0/8, "fd00::1"], gateways: [web], sourceLabels: {app: a}}]
  route:
  - destination: {host: tcp-echo, subset: v1, port: {number: 9000}}
    weight: 80
  - destination: {host: tcp-echo, subset: v2}
    weight: 20
"""
        )
    )
    assert not errors(made)
    (virtual,) = made.virtual_hosts
    assert virtual.gateways == ("mesh", "web", "old")
    assert virtual.tls[0].matches[0].sni_hosts == ("a.example.com", "*.b.example.com")
    (match,) = virtual.tcp[0].matches
    assert (match.port, match.destination_subnets) == (31400, ("10.0.0.0/8", "fd00::1"))
    assert (match.gateways, match.source_labels) == (("web",), {"app": "a"})
    assert [arm.weight for arm in virtual.tcp[0].destinations] == [80, 20]
    assert "istio" not in str(virtual.gateways)
    assert [problem.code for problem in warnings(made)] == ["deprecated-field"], "name.namespace of a gateway"


def test_a_delegate_decides_in_its_root() -> None:
    root = service(
        """
hosts: [reviews]
http:
- name: root
  match: [{uri: {prefix: /api}, headers: {x: {exact: a}}}]
  timeout: 5s
  delegate: {name: team}
- delegate: {name: nobody}
"""
    )
    team = spec(
        "VirtualService",
        """
http:
- name: v2
  match: [{uri: {prefix: /api/v2}}, {uri: {prefix: /api/v3}}]
  route: [{destination: {host: reviews, subset: v2}}]
- match: [{uri: {prefix: /elsewhere}}]
  route: [{destination: {host: reviews, subset: v1}}]
- timeout: 1s
  route: [{destination: {host: reviews, subset: v3}}]
""",
        name="team",
    )
    made = compiled(f"{root}---\n{team}")
    (virtual,) = made.virtual_hosts
    first, last = virtual.http
    assert first.name == "root-v2"
    assert [match.uri.value for match in first.matches] == ["/api/v2", "/api/v3"]
    assert all(match.headers == {"x": StringMatch(MatchKind.EXACT, "a")} for match in first.matches)
    assert (first.timeout, last.timeout) == (5.0, 1.0)
    assert last.matches[0].uri.value == "/api"
    assert last.destinations[0].destination.subset == "v3"
    assert sorted(problem.code for problem in made.problems) == ["unknown-delegate", "unreachable-rule"]


@pytest.mark.parametrize(
    ("old", "modern", "hint"),
    [
        (
            "fault: {delay: {percent: 10, fixedDelay: 5s}}",
            "fault: {delay: {percentage: {value: 10}, fixedDelay: 5s}}",
            "percentage",
        ),
        (
            "fault: {abort: {percent: 10, httpStatus: 500}}",
            "fault: {abort: {percentage: {value: 10}, httpStatus: 500}}",
            "percentage",
        ),
        (
            "mirror: {host: ratings}\n  mirrorPercent: 5",
            "mirror: {host: ratings}\n  mirrorPercentage: {value: 5}",
            "mirrorPercentage",
        ),
        (
            "mirror: {host: ratings}\n  mirror_percentage: {value: 5}",
            "mirror: {host: ratings}\n  mirrorPercentage: {value: 5}",
            "mirrorPercentage",
        ),
        ("corsPolicy: {allowOrigin: [a]}", "corsPolicy: {allowOrigins: [{exact: a}]}", "allowOrigins"),
        (
            "retries: {attempts: 1, per_try_timeout: 2s}",
            "retries: {attempts: 1, perTryTimeout: 2s}",
            "perTryTimeout",
        ),
    ],
)
def test_an_old_field_is_the_modern_one_and_a_warning(old: str, modern: str, hint: str) -> None:
    def make(body: str) -> Compiled:
        text = f"hosts: [reviews]\nhttp:\n- route: [{{destination: {{host: reviews}}}}]\n  {body}"
        return compiled(service(text))

    was, now = make(old), make(modern)
    assert was.virtual_hosts == now.virtual_hosts
    assert not now.problems
    (problem,) = was.problems
    assert problem.code == "deprecated-field"
    assert hint in problem.hint
    assert problem.line > 7


def test_mirror_percent_in_both_spellings() -> None:
    made = compiled(
        service("hosts: [a]\nhttp:\n- route: [{destination: {host: a}}]\n  mirror: {host: b}\n  mirror_percent: 5")
    )
    assert made.virtual_hosts[0].http[0].mirrors[0].percent == 5
    assert {problem.code for problem in made.problems} == {"deprecated-field"}


def test_a_route_beside_its_item_as_old_slides_print_it() -> None:
    made = compiled(
        service(
            """
hosts: [ratings]
http:
- fault: {delay: {percent: 10, fixedDelay: 5s}}
route:
- destination: {host: ratings, subset: v1}
"""
        )
    )
    assert not errors(made)
    (one,) = made.virtual_hosts[0].http
    assert one.destinations[0].destination == Destination("ratings", "v1")
    assert one.fault.delay == Delay(5.0, 10.0)
    by_line = {problem.line: problem for problem in warnings(made)}
    assert "percentage" in by_line[8].hint
    assert "item of `http`" in by_line[9].hint


def test_a_fault_without_percentage_is_no_fault() -> None:
    made = compiled(
        service("hosts: [a]\nhttp:\n- route: [{destination: {host: a}}]\n  fault: {delay: {fixedDelay: 5s}}")
    )
    assert made.virtual_hosts[0].http[0].fault is None
    assert [problem.code for problem in made.problems] == ["without-effect"]


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("hosts: [a]", 5, "no `http`, `tls` or `tcp`"),
        ("hosts: ['a b']\nhttp: [{ROUTE}]", 6, "`spec.hosts[0]`"),
        ("hosts: ['*']\nhttp: [{ROUTE}]", 6, "gateways"),
        ("hosts: [a.b, '*.b']\nhttp: [{ROUTE}]", 6, "Keep the wider one"),
        ("hosts: [a]\nhttp: []\nroute: [{destination: {host: a}}]", 8, "`spec.route`"),
        ("hosts: [a]\nhttp:\n- {}", 8, "directResponse"),
        ("hosts: [a]\nhttp:\n- ROUTE\n  redirect: {uri: /}", 8, "`redirect` and `route`"),
        ("hosts: [a]\nhttp:\n- directResponse: {status: 200}\n  redirect: {uri: /}", 8, "`directResponse`"),
        ("hosts: [a]\nhttp:\n- redirect: {uri: /}\n  fault: {abort: {httpStatus: 500}}", 9, "`fault`"),
        ("hosts: [a]\nhttp:\n- redirect: {uri: /}\n  rewrite: {uri: /}", 9, "`rewrite`"),
        ("hosts: [a]\nhttp:\n- redirect: {uri: /, prefixRewrite: /}", 8, "`uri` and `prefixRewrite`"),
        ("hosts: [a]\nhttp:\n- match: [{uri: {exact: /}}]\n  redirect: {prefixRewrite: /}", 9, "`prefix`"),
        ("hosts: [a]\nhttp:\n- redirect: {}", 8, "is empty"),
        ("hosts: [a]\nhttp:\n- redirect: {uri: /, redirectCode: 200}", 8, "300 to 399"),
        ("hosts: [a]\nhttp:\n- redirect: {scheme: ftp}", 8, "http or https"),
        ("hosts: [a]\nhttp:\n- directResponse: {}", 8, "status"),
        ("hosts: [a]\nhttp:\n- directResponse: {status: 99}", 8, "200 to 599"),
        ("hosts: [a]\nhttp:\n- delegate: {name: b}\n  ROUTE", 9, "`delegate` and `route`"),
        ("hosts: [a]\nhttp:\n- route: [{destination: {host: a}, weight: -1}]", 8, "weight"),
        ("hosts: [a]\nhttp:\n- route: [{destination: {host: a}}, {destination: {host: b}}]", 8, "add up to 0"),
        ("hosts: [a]\nhttp:\n- route: [{weight: 1}]", 8, "`spec.http[0].route[0].destination` is missing"),
        ("hosts: [a]\nhttp:\n- route: [{destination: {host: '*'}}]", 8, "a host name"),
        ("hosts: [a]\nhttp:\n- route: [{destination: {host: a, port: {number: 70000}}}]", 8, "between 1-65535"),
        ("hosts: [a]\nhttp:\n- route: [{destination: {host: a, subset: 'v 1'}}]", 8, "subset"),
        ("hosts: [a]\nhttp:\n- match: [{}]\n  ROUTE", 8, "is empty"),
        ("hosts: [a]\nhttp:\n- match: [{uri: /x}]\n  ROUTE", 8, "Write {exact: /x}."),
        ("hosts: [a]\nhttp:\n- match: [{uri: {}}]\n  ROUTE", 8, "is empty"),
        ("hosts: [a]\nhttp:\n- match: [{uri: {exact: a, prefix: b}}]\n  ROUTE", 8, "only one of them"),
        ("hosts: [a]\nhttp:\n- match: [{uri: {regex: '('}}]\n  ROUTE", 8, "RE2"),
        ("hosts: [a]\nhttp:\n- match: [{uri: {regex: '(?=a)'}}]\n  ROUTE", 8, "RE2"),
        ("hosts: [a]\nhttp:\n- match: [{uri: {regex: 'LONG'}}]\n  ROUTE", 8, "1024"),
        ("hosts: [a]\nhttp:\n- match: [{method: {prefix: ''}}]\n  ROUTE", 8, "prefix"),
        ("hosts: [a]\nhttp:\n- match: [{headers: {'x y': {}}}]\n  ROUTE", 8, "the name of a header"),
        ("hosts: [a]\nhttp:\n- match: [{port: 0}]\n  ROUTE", 8, "between 1-65535"),
        ("hosts: [a]\nhttp:\n- match: [{urii: {exact: a}}]\n  ROUTE", 8, "`uri`"),
        ("hosts: [a]\nhttp:\n- timeout: 5\n  ROUTE", 8, "Write 5s."),
        ("hosts: [a]\nhttp:\n- timeout: 1us\n  ROUTE", 8, "1ms"),
        ("hosts: [a]\nhttp:\n- timeout: -1s\n  ROUTE", 8, "a duration"),
        ("hosts: [a]\nhttp:\n- retries: {perTryTimeout: 1s}\n  ROUTE", 8, "attempts"),
        ("hosts: [a]\nhttp:\n- retries: {attempts: 1, retryOn: 5xy}\n  ROUTE", 8, "`5xx`"),
        ("hosts: [a]\nhttp:\n- fault: {}\n  ROUTE", 8, "delay, abort"),
        ("hosts: [a]\nhttp:\n- fault: {delay: {percentage: {value: 101}, fixedDelay: 1s}}\n  ROUTE", 8, "100"),
        ("hosts: [a]\nhttp:\n- fault: {delay: {percentage: {value: 1}}}\n  ROUTE", 8, "fixedDelay"),
        ("hosts: [a]\nhttp:\n- fault: {delay: {exponentialDelay: 1s}}\n  ROUTE", 8, "not supported"),
        ("hosts: [a]\nhttp:\n- fault: {abort: {http2Error: X}}\n  ROUTE", 8, "not supported"),
        ("hosts: [a]\nhttp:\n- fault: {abort: {grpcStatus: UNAVAIL}}\n  ROUTE", 8, "`UNAVAILABLE`"),
        ("hosts: [a]\nhttp:\n- mirror: {host: b}\n  mirrors: []\n  ROUTE", 9, "only one of them"),
        ("hosts: [a]\nhttp:\n- rewrite: {}\n  ROUTE", 8, "is empty"),
        ("hosts: [a]\nhttp:\n- rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}\n  ROUTE", 8, "one of"),
        ("hosts: [a]\nhttp:\n- rewrite: {uriRegexRewrite: {match: a}}\n  ROUTE", 8, "rewrite` is missing"),
        ("hosts: [a]\nhttp:\n- rewrite: {authority: b}\n  headers: {request: {set: {Host: c}}}\n  ROUTE", 9,
         "more than once"),
        ("hosts: [a]\nhttp:\n- headers: {request: {remove: [host]}}\n  ROUTE", 8, "host"),
        ("hosts: [a]\nhttp:\n- headers: {request: {set: {':path': /}}}\n  ROUTE", 8, "not the name"),
        ("hosts: [a]\nhttp:\n- headers: {request: {set: {a: \"x\\r\\ny\"}}}\n  ROUTE", 8, "control"),
        ("hosts: [a]\nhttp:\n- corsPolicy: {allowMethods: [get]}\n  ROUTE", 8, "`GET`"),
        ("hosts: [a]\nhttp:\n- corsPolicy: {maxAge: 1500ms}\n  ROUTE", 8, "whole seconds"),
        ("hosts: [a]\ntls:\n- route: [{destination: {host: a}}]", 8, "match` is missing"),
        ("hosts: [a]\ntls:\n- match: [{port: 1}]\n  ROUTE", 8, "sniHosts"),
        ("hosts: [a]\ntls:\n- match: [{sniHosts: [b]}]\n  ROUTE", 8, "none of the hosts a"),
        ("hosts: [a]\ntcp:\n- match: []", 8, "route` is missing"),
        ("hosts: [a]\ntcp:\n- match: [{destinationSubnets: [10.0.0.0/33]}]\n  ROUTE", 8, "a network"),
        ("gateways: [web]\nhttp: [{ROUTE}]", 6, "without hosts"),
        ("http: [{delegate: {name: b}}]", 6, "cannot delegate"),
        ("hosts: a\nhttp: [{ROUTE}]", 6, "a list"),
        ("hosts: [a]\nhttps: []", 7, "`http`"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_where_it_stands(body: str, line: int, words: str) -> None:
    body = body.replace("ROUTE", "route: [{destination: {host: a}}]").replace("LONG", "x" * 1025)
    made = compiled(service(body))
    found = errors(made)
    assert found, body
    assert line in [problem.line for problem in found]
    assert words in " ".join(str(problem) for problem in found)
    assert not made.virtual_hosts, "nothing of a refused resource is carried out"
    assert all(problem.column for problem in found)


def test_headers_that_are_not_carried_out_are_named() -> None:
    body = """hosts: [reviews]
http:
- route: [{destination: {host: reviews}}]
  headers:
    request:
      set: {x-a: "%REQ(x-b)% %UPSTREAM_METADATA(x)% 5%", Content-Length: "1"}
      remove: [Connection]
"""
    made = compiled(service(body))
    found = {(problem.severity, problem.code, problem.line) for problem in made.problems}
    assert found == {(Severity.WARNING, "not-carried-out", 11), (Severity.WARNING, "not-carried-out", 12)}
    words = " ".join(problem.message for problem in made.problems)
    assert all(word in words for word in ("%UPSTREAM_METADATA%", "content-length", "connection"))
    assert "REQ" not in words
