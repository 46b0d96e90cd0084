"""The short forms of `x-mesh`, and what they come to in the model that Istio's documents compile to."""

from __future__ import annotations

from pathlib import Path

import pytest

from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.compose import load_compose
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.resources import load_documents
from composemesh.config.yaml import parse
from composemesh.model.gateway import ServerProtocol
from composemesh.model.listener import ListenerLimits
from composemesh.model.policy import Balancer, HashKey
from composemesh.model.problem import Problem, Severity
from composemesh.model.route import Destination, HttpMatch, HttpRule, MatchKind
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Attachment, Workload
from composemesh.routing.request import Request
from composemesh.routing.resolve import Decision, candidates, resolve

FILE = Path("/shop/compose.yaml")
SHOP = """\
x-mesh:
  gateways:
    web: {listen: 0.0.0.0:8080, tls: auto, hosts: shop.localhost}
    plain: 8081
  external: {stripe: {hosts: [api.stripe.com], ports: {"443": tls}}}
services:
  reviews-v1: {image: a, x-mesh: {service: reviews, version: v1}}
  reviews-v2:
    image: a
    x-mesh:
      service: reviews
      version: v2
      ports: {"9080": http}
      timeout: 5s
      routes:
        - match: {headers: {end-user: jason}, path: /reviews, method: [GET, HEAD]}
          to: v2
          fault: {delay: 2s, percent: 50}
        - split: {v1: 90, v2: 10}
          timeout: 2s
          retries: {attempts: "3", on: [5xx, connect-failure], statuses: 429}
          mirror: {to: v2, percent: 10}
      expose: {gateway: web, path: /reviews}
      load_balancer: {hash: header:x-user}
      connections: {max: 100, pending: 10}
      outlier_detection: {consecutive_5xx: 3, ejection: 10s}
  details: {image: a, x-mesh: {retries: 1}}
"""


def compiled(
    text: str, resources: str = "", workloads: tuple[Workload, ...] = ()
) -> tuple[Snapshot, tuple[Problem, ...]]:
    document = load_compose(Resolved(text, (FILE,)), Sources({FILE: parse(text, str(FILE))}))
    return compile_mesh("shop", document, (), load_documents(resources, "mesh.yaml")[0], workloads)


def ask(
    snapshot: Snapshot, host: str, target: bytes = b"/", *, draw: float = 0.0, method: bytes = b"GET", **headers: str
) -> Decision[HttpRule, HttpMatch] | None:
    hosts = [virtual for virtual in snapshot.virtual_hosts if host in virtual.hosts and "mesh" in virtual.gateways]
    values = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    request = Request(b"", method, target, values, port=9080, source_labels={})
    return resolve(candidates(hosts), request, lambda _: draw)


def test_routes() -> None:
    snapshot, problems = compiled(SHOP)
    assert problems == ()
    jason = ask(snapshot, "reviews", b"/reviews/0", end_user="jason")
    assert jason.arm.destination == Destination("reviews", "v2")
    assert (jason.rule.fault.delay.seconds, jason.rule.fault.delay.percent, jason.rule.timeout) == (2.0, 50.0, 5.0)
    assert (jason.rule.origin.file, jason.rule.origin.line) == (str(FILE), 16)
    assert ask(snapshot, "reviews", b"/reviewsX", end_user="jason").rule.origin.line == 19
    assert ask(snapshot, "reviews", b"/reviews", method=b"POST", end_user="jason").rule.origin.line == 19
    other = ask(snapshot, "reviews", draw=0.95)
    assert other.arm.destination == Destination("reviews", "v2")
    assert (other.rule.timeout, other.rule.retry.attempts, other.rule.retry.statuses) == (2.0, 3, {429})
    assert other.rule.retry.on == {"5xx", "connect-failure", "retriable-status-codes"}
    assert (other.rule.mirrors[0].destination.subset, other.rule.mirrors[0].percent) == ("v2", 10.0)
    details = ask(snapshot, "details")
    assert (details.arm.destination, details.rule.retry.attempts) == (Destination("details"), 1)


def test_what_no_route_speaks_of_goes_as_if_there_were_none() -> None:
    snapshot, problems = compiled(
        "services: {a: {x-mesh: {routes: [{match: {path: /old}, respond: {status: 410}}]}}}\n"
    )
    assert problems == ()
    assert ask(snapshot, "a", b"/old/x").rule.direct_response.status == 410
    assert ask(snapshot, "a", b"/new").arm.destination == Destination("a")


def test_routes_of_a_version_by_name_and_alias_are_those_of_its_service() -> None:
    text = """\
services:
  reviews-v1: {image: a, networks: {default: {aliases: [reviews]}}}
  reviews-v2:
    image: a
    networks: {default: {aliases: [reviews]}}
    x-mesh: {timeout: 3s, routes: [{to: v2}]}
  other-v2: {image: a, x-mesh: {routes: [{to: v2}]}}
"""
    snapshot, problems = compiled(text)
    assert problems == ()
    assert [virtual.hosts for virtual in snapshot.virtual_hosts] == [("other-v2",), ("reviews",)]


def test_the_alias_of_a_container_counts_where_no_file_is_known() -> None:
    place = Attachment("net", "default", (), aliases=("reviews",))
    workload = Workload("id", "shop-reviews-v2-1", "reviews-v2", "2026-01-01", 1, attachments=(place,))
    snapshot, _ = compiled("services: {reviews-v2: {image: a, x-mesh: {routes: [{to: v2}]}}}", "", (workload,))
    assert [virtual.hosts for virtual in snapshot.virtual_hosts] == [("reviews",)]


def test_versions_by_name_that_disagree_on_their_service() -> None:
    part = "{{image: a, networks: {{default: {{aliases: [reviews]}}}}, x-mesh: {{timeout: {0}}}}}"
    services = f"  reviews-v1: {part.format('1s')}\n  reviews-v2: {part.format('2s')}\n"
    _, (problem,) = compiled(f"services:\n{services}")
    assert problem.code == "conflicting-settings"
    assert problem.line == 3


def test_policies() -> None:
    policy = compiled(SHOP)[0].policies["reviews"]
    assert policy.policy.balance.kind is Balancer.CONSISTENT_HASH
    assert (policy.policy.balance.hash.key, policy.policy.balance.hash.name) == (HashKey.HEADER, "x-user")
    assert (policy.policy.connections.max_connections, policy.policy.connections.max_pending_requests) == (100, 10)
    assert (policy.policy.outliers.consecutive_5xx, policy.policy.outliers.base_ejection_time) == (3, 10.0)
    assert {name: subset.labels for name, subset in policy.subsets.items()} == {
        "v1": {"version": "v1"},
        "v2": {"version": "v2"},
    }


def test_gateways_and_hosts_outside() -> None:
    snapshot, _ = compiled(SHOP)
    (server,) = snapshot.gateways["web"].servers
    assert (server.port, server.bind, server.protocol, server.hosts) == (8080, "", "HTTPS", ("shop.localhost",))
    assert snapshot.gateways["plain"].servers[0].protocol is ServerProtocol.HTTP
    (entry,) = snapshot.entries
    assert (entry.hosts, entry.ports[0].number, entry.ports[0].protocol) == (("api.stripe.com",), 443, "tls")


def test_an_exposed_service_has_the_same_routes_at_the_gateway() -> None:
    snapshot, _ = compiled(SHOP)
    (virtual,) = (each for each in snapshot.virtual_hosts if each.gateways == ("web",))
    rules = candidates([virtual], "web")
    request = Request(
        b"shop", b"GET", b"/reviews/0", {b"end-user": b"jason"}, port=8080, gateway="web", source_labels={}
    )
    assert resolve(rules, request, lambda _: 0.0).arm.destination == Destination("reviews", "v2", 9080)
    elsewhere = Request(b"shop", b"GET", b"/else", {}, port=8080, gateway="web", source_labels={})
    assert resolve(rules, elsewhere, lambda _: 0.0) is None


def test_the_port_of_an_exposed_service() -> None:
    text = "x-mesh: {gateways: {web: 8080}}\nservices: {a: {x-mesh: {expose: {gateway: web}}}}\n"
    (problem,) = compiled(text)[1]
    assert (problem.code, problem.file, problem.line) == ("which-port", str(FILE), 2)
    running = Workload("1", "shop-a-1", "a", "2026", 1, ports=(8000,))
    snapshot, problems = compiled(text, workloads=(running,))
    assert problems == ()
    assert snapshot.virtual_hosts[0].http[0].destinations[0].destination.port == 8000


def test_istios_documents_come_first() -> None:
    resources = """
    {apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: reviews},
     spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: canary}}]}]}}
---
    {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: reviews},
     spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}},
            subsets: [{name: canary, labels: {track: canary}}]}}
"""
    snapshot, problems = compiled(SHOP, resources)
    assert problems == ()
    assert ask(snapshot, "reviews", end_user="jason").arm.destination.subset == "canary"
    policy = snapshot.policies["reviews"]
    assert policy.policy.balance.kind is Balancer.RANDOM
    assert policy.policy.connections.max_connections == 100  # of which the DestinationRule says nothing
    assert set(policy.subsets) == {"canary", "v1", "v2"}


def test_two_compose_services_that_disagree() -> None:
    text = """\
services:
  a: {x-mesh: {service: s, timeout: 1s}}
  b: {x-mesh: {service: s, timeout: 2s}}
"""
    (problem,) = compiled(text)[1]
    assert (problem.code, problem.line) == ("conflicting-settings", 3)


@pytest.mark.parametrize(
    ("service", "code", "path"),
    [
        ("{routes: {}}", "wrong-type", "routes"),
        ("{routes: [{to: v1, split: {v1: 1}}]}", "conflicting-fields", "routes[0]"),
        ("{routes: [{matches: {}}]}", "unknown-field", "routes[0].matches"),
        ("{routes: [{match: {path: {regex: '('}}}]}", "wrong-regex", "routes[0].match.path.regex"),
        ("{routes: [{timeout: 2}]}", "wrong-type", "routes[0].timeout"),
        ("{routes: [{fault: {percent: 5}}]}", "missing-field", "routes[0].fault"),
        ("{retries: {on: [6xx]}}", "wrong-value", "retries.on[0]"),
        ("{load_balancer: fastest}", "wrong-value", "load_balancer"),
        ("{load_balancer: {hash: user}}", "wrong-value", "load_balancer.hash"),
        ("{connections: {max: -1}}", "wrong-value", "connections.max"),
        ("{expose: {path: /a}}", "missing-field", "expose"),
    ],
)
def test_mistakes_are_named_at_their_line(service: str, code: str, path: str) -> None:
    problems = compiled(f"services:\n  a:\n    x-mesh: {service}\n")[1]
    assert (problems[0].code, problems[0].file, problems[0].line) == (code, str(FILE), 3)
    assert path in problems[0].message


def test_a_comparison_may_say_what_it_is() -> None:
    text = "services: {a: {x-mesh: {routes: [{match: {query: {v: true, w: {prefix: x}}}, respond: {}}]}}}\n"
    (rule, _) = compiled(text)[0].virtual_hosts[0].http
    assert {name: match.kind for name, match in rule.matches[0].query_params.items()} == {
        "v": MatchKind.PRESENT,
        "w": MatchKind.PREFIX,
    }


def test_what_listeners_take() -> None:
    snapshot, problems = compiled("x-mesh: {listeners: {connections: 100, idle_timeout: 10m}}\nservices: {}\n")
    assert problems == ()
    assert snapshot.mesh.listeners == ListenerLimits(connections=100, idle_timeout=600.0)
    refused, problems = compiled("x-mesh:\n  listeners: {requests: -1}\nservices: {}\n")
    assert [(problem.code, problem.line) for problem in problems] == [("wrong-value", 2)]
    assert refused.mesh.listeners == ListenerLimits()


def test_who_is_introduced() -> None:
    text = """\
x-mesh: {gateways: {web: {listen: 8080, proxy_protocol: true}, plain: 8081}}
services: {a: {x-mesh: {proxy_protocol: true}}, b: {x-mesh: {service: a}}}
"""
    snapshot, problems = compiled(text)
    assert problems == ()
    assert {name: gateway.servers[0].introduced for name, gateway in snapshot.gateways.items()} == {
        "web": True,
        "plain": False,
    }
    assert {name: said.proxy_protocol for name, said in snapshot.services.items()} == {"a": True, "b": False}


def test_a_version_that_nobody_has_is_named() -> None:
    text = """\
services:
  reviews-v1: {image: a, x-mesh: {service: reviews, version: v1, routes: [{split: {v1: 90, v2: 5, v22: 5}}]}}
  reviews-v2: {image: a, x-mesh: {service: reviews, version: v2}}
"""
    assert compiled(text)[1] == (), "nothing runs yet"
    _, problems = compiled(text, "", (Workload("id", "shop-reviews-v1-1", "reviews-v1", "2026-01-01", 1),))
    (problem,) = problems
    assert (problem.code, problem.severity, problem.line) == ("KIA0203", Severity.WARNING, 2)
    assert "Nothing of reviews is version v22" in problem.message
    assert problem.hint == "Did you mean `v2`?"
