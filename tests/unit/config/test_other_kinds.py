"""DestinationRule, ServiceEntry, WorkloadEntry, Sidecar and Gateway: what their fields mean, and what is refused."""

from __future__ import annotations

import pytest

from composemesh.config.resources import compile_resources, load_documents
from composemesh.model.entry import EntryEndpoint, EntryPort, Location, Resolution
from composemesh.model.gateway import ServerProtocol, TlsMode
from composemesh.model.policy import (
    Balance,
    Balancer,
    ConnectionLimits,
    ConsistentHash,
    DestinationPolicy,
    H2Upgrade,
    HashKey,
    KeepAlive,
    OutlierDetection,
    TrafficPolicy,
)
from unit.config.istio import compiled, errors, spec, warnings


def rule(body: str) -> DestinationPolicy:
    made = compiled(spec("DestinationRule", f"host: reviews\n{body}"))
    assert not made.problems, made.problems
    return made.policies["reviews"]


# === DestinationRule ===


def test_everything_that_a_traffic_policy_can_say() -> None:
    made = rule(
        """
trafficPolicy:
  loadBalancer: {simple: ROUND_ROBIN}
  connectionPool:
    tcp:
      maxConnections: 99
      connectTimeout: 6s
      tcpKeepalive: {probes: 3, time: 2h, interval: 75s}
      maxConnectionDuration: 1h
      idleTimeout: 0s
    http:
      http1MaxPendingRequests: 14
      http2MaxRequests: 33
      maxRequestsPerConnection: 65
      maxRetries: 4
      idleTimeout: 30s
      h2UpgradePolicy: UPGRADE
      maxConcurrentStreams: 7
  outlierDetection:
    consecutive5xxErrors: 3
    consecutiveGatewayErrors: 2
    consecutiveLocalOriginFailures: 9
    splitExternalLocalOriginErrors: true
    interval: 8ms
    baseEjectionTime: 1m
    maxEjectionPercent: 11
    minHealthPercent: 12
  proxyProtocol: {version: V2}
  portLevelSettings:
  - port: {number: 9080}
    loadBalancer: {simple: RANDOM}
subsets:
- name: v1
  labels: {version: v1}
- name: v2
  labels: {version: v2, app: reviews}
  trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}
"""
    )
    limits = ConnectionLimits(
        99, 6.0, KeepAlive(3, 7200.0, 75.0), 3600.0, 0.0, 14, 33, 65, 4, 30.0, H2Upgrade.ALWAYS, 7
    )
    outliers = OutlierDetection(3, 2, 9, True, 0.008, 60.0, 11, 12)
    assert made.policy == TrafficPolicy(Balance(Balancer.ROUND_ROBIN), limits, outliers, 2)
    assert made.ports == {9080: TrafficPolicy(Balance(Balancer.RANDOM))}, "a port inherits nothing"
    assert made.subsets["v1"].labels == {"version": "v1"}
    assert made.subsets["v1"].policy == TrafficPolicy()
    assert made.subsets["v2"].policy.balance == Balance(Balancer.PASSTHROUGH)
    assert made.origin.line == 1


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("httpHeaderName: X-User", ConsistentHash(HashKey.HEADER, "x-user")),
        ("httpCookie: {name: user, path: /a, ttl: 0s}", ConsistentHash(HashKey.COOKIE, "user", "/a", 0.0)),
        ("httpCookie: {name: user}", ConsistentHash(HashKey.COOKIE, "user")),
        ("useSourceIp: true", ConsistentHash(HashKey.SOURCE_IP)),
        (
            "httpQueryParameterName: q, ringHash: {minimumRingSize: 64}",
            ConsistentHash(HashKey.QUERY, "q", minimum_ring_size=64),
        ),
    ],
)
def test_consistent_hashes(said: str, key: ConsistentHash) -> None:
    made = rule(f"trafficPolicy: {{loadBalancer: {{consistentHash: {{{said}}}}}}}")
    assert made.policy.balance == Balance(Balancer.CONSISTENT_HASH, key)


@pytest.mark.parametrize(
    ("body", "modern"),
    [
        (
            "trafficPolicy: {outlierDetection: {consecutiveErrors: 7}}",
            "trafficPolicy: {outlierDetection: {consecutive5xxErrors: 7}}",
        ),
        (
            "outlierDetection: {interval: 5m}\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}",
            "trafficPolicy: {outlierDetection: {interval: 5m}, loadBalancer: {simple: RANDOM}}",
        ),
        (
            "outlierDetection: {http: {consecutiveErrors: 7, baseEjectionTime: 15m}}",
            "trafficPolicy: {outlierDetection: {consecutive5xxErrors: 7, baseEjectionTime: 15m}}",
        ),
        (
            "trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}",
            "trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 42}}}",
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 42}}}}",
        ),
    ],
)
def test_an_old_field_is_the_modern_one_and_a_warning(body: str, modern: str) -> None:
    made = compiled(spec("DestinationRule", f"host: reviews\n{body}"))
    assert made.policies == {"reviews": rule(modern)}
    assert made.problems
    assert {problem.code for problem in made.problems} == {"deprecated-field"}
    assert all(problem.hint and problem.line for problem in made.problems)


def test_two_rules_for_a_host_are_one_policy() -> None:
    one = spec("DestinationRule", "host: reviews\nsubsets: [{name: v1, labels: {version: v1}}]", name="one")
    two = spec(
        "DestinationRule",
        "host: reviews.default.svc.cluster.local\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}\n"
        "subsets: [{name: v2, labels: {version: v2}}]",
        name="two",
    )
    made = compiled(f"{one}---\n{two}")
    assert not made.problems
    assert list(made.policies) == ["reviews"]
    assert made.policies["reviews"].policy.balance == Balance(Balancer.RANDOM)
    assert list(made.policies["reviews"].subsets) == ["v2", "v1"]


def test_two_policies_for_a_host_are_a_warning_and_two_subsets_of_a_name_an_error() -> None:
    body = "host: reviews\ntrafficPolicy: {loadBalancer: {simple: %s}}\nsubsets: [{name: v1}]"
    one, two = (spec("DestinationRule", body % how, name=how.lower()) for how in ("RANDOM", "PASSTHROUGH"))
    made = compiled(f"{one}---\n{two}")
    assert made.policies["reviews"].policy.balance == Balance(Balancer.RANDOM)
    assert [problem.code for problem in made.problems] == ["duplicate-name", "conflicting-settings"]


def test_a_rule_for_a_pattern_is_that_of_each_host_that_has_none_of_its_own() -> None:
    entry = spec("ServiceEntry", "hosts: [api.example.com, www.example.com]", name="out")
    rules = [
        spec("DestinationRule", f"host: '{host}'\ntrafficPolicy: {{loadBalancer: {{simple: {how}}}}}", name=name)
        for name, host, how in (
            ("every", "*.local", "RANDOM"),
            ("out", "*.example.com", "ROUND_ROBIN"),
            ("api", "api.example.com", "PASSTHROUGH"),
        )
    ]
    made = compiled("---\n".join([entry, *rules]), ["reviews", "ratings"])
    assert not made.problems
    found = {host: policy.policy.balance.kind for host, policy in made.policies.items()}
    assert found == {
        "reviews": Balancer.RANDOM,
        "ratings": Balancer.RANDOM,
        "*.local": Balancer.RANDOM,
        "*.example.com": Balancer.ROUND_ROBIN,
        "www.example.com": Balancer.ROUND_ROBIN,
        "api.example.com": Balancer.PASSTHROUGH,
    }
    assert made.policies["ratings"].host == "ratings"


@pytest.mark.parametrize(
    "body",
    [
        "trafficPolicy: {tls: {mode: SIMPLE}}",
        "trafficPolicy: {tunnel: {targetHost: a.example, targetPort: 443}}",
        "trafficPolicy: {retryBudget: {percent: 20}}",
        "trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: true}}}",
        "trafficPolicy: {loadBalancer: {warmup: {duration: 1m}}}",
        "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}",
        "trafficPolicy: {connectionPool: {http: {http2KeepAlive: {interval: 1s, timeout: 1s}}}}",
        "trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [429]}}",
        "workloadSelector: {matchLabels: {app: a}}",
    ],
)
def test_what_comes_later_is_named(body: str) -> None:
    made = compiled(spec("DestinationRule", f"host: reviews\n{body}"))
    (problem,) = made.problems
    assert problem.code == "not-carried-out"
    assert problem.line == 7
    assert "reviews" in made.policies


# === ServiceEntry and WorkloadEntry ===


def test_everything_that_an_entry_can_say() -> None:
    made = compiled(
        spec(
            "ServiceEntry",
            """
hosts: [Foo.Bar.com, "*.bar.com"]
addresses: [192.192.192.192/24, 1.2.3.4]
ports:
- {number: 80, name: http, protocol: HTTP, targetPort: 8080}
- {number: 443, name: https-web}
- {number: 9000, name: other}
location: MESH_INTERNAL
resolution: STATIC
endpoints:
- {address: 127.0.0.2, ports: {http: 7072}, labels: {version: v1}, weight: 3}
- {address: "::1"}
""",
        )
    )
    assert not made.problems
    (entry,) = made.entries
    assert entry.hosts == ("foo.bar.com", "*.bar.com")
    assert entry.addresses == ("192.192.192.0/24", "1.2.3.4")
    assert entry.ports == (
        EntryPort(80, "http", "http", 8080),
        EntryPort(443, "https", "https-web"),
        EntryPort(9000, "", "other"),
    )
    assert (entry.location, entry.resolution) == (Location.INTERNAL, Resolution.STATIC)
    assert entry.endpoints == (
        EntryEndpoint("127.0.0.2", {"http": 7072}, {"version": "v1"}, 3),
        EntryEndpoint("::1"),
    )


def test_a_selector_picks_workload_entries() -> None:
    entry = spec("ServiceEntry", "hosts: [db.example]\nresolution: STATIC\nworkloadSelector: {labels: {app: db}}")
    one = spec("WorkloadEntry", "address: 10.0.0.7\nlabels: {app: db, version: v1}\nweight: 2", name="one")
    two = spec("WorkloadEntry", "address: 10.0.0.8\nlabels: {app: web}", name="two")
    made = compiled(f"{entry}---\n{one}---\n{two}")
    assert not made.problems
    assert made.entries[0].workload_selector == {"app": "db"}
    assert made.entries[0].endpoints == (EntryEndpoint("10.0.0.7", {}, {"app": "db", "version": "v1"}, 2),)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("hosts: [a.b, c.d]\nresolution: DNS\nports: [{number: 1, name: tcp, protocol: TCP}]", "plain TCP"),
        ("hosts: ['*.b']\nresolution: DNS", "resolution: NONE"),
        ("hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: c.d}]", "must be an address"),
        (
            "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 1.2.3.4, ports: {http: 1}}]",
            "no port of",
        ),
        ("hosts: [a.b]\nresolution: STATIC\nendpoints: [{weight: 1}]", "address` is missing"),
        ("hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix://a'}]", "absolute"),
        ("hosts: [a.b]\nports: [{number: 1, name: Http}]", "lowercase"),
        ("hosts: [a.b]\nports: [{number: 1, name: http, protocol: HTTTP}]", "`HTTP`"),
        ("hosts: []", "is empty"),
        ("hosts: [a.b]\nresolution: SOMETIMES", "STATIC"),
    ],
)
def test_what_an_entry_cannot_be(body: str, words: str) -> None:
    made = compiled(spec("ServiceEntry", body))
    assert words in " ".join(map(str, errors(made)))
    assert not made.entries


@pytest.mark.parametrize(
    "body",
    [
        "hosts: ['*.b']\nresolution: DYNAMIC_DNS",
        "hosts: [a.b]\nsubjectAltNames: [a.b]",
        "hosts: [a.b]\nports: [{number: 1, name: dns, protocol: UDP}]",
        "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 1.2.3.4, locality: eu}]",
        "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix:///a'}]",
    ],
)
def test_what_comes_later_for_an_entry_is_named(body: str) -> None:
    made = compiled(spec("ServiceEntry", body))
    assert [problem.code for problem in warnings(made)] == ["not-carried-out"]
    assert len(made.entries) == 1


# === Sidecar ===


def test_a_scope() -> None:
    made = compiled(
        spec(
            "Sidecar",
            """
workloadSelector: {labels: {app: ratings}}
egress:
- port: {number: 9080, protocol: HTTP, name: egress}
  hosts: ["./reviews", "prod/*.example.com"]
- hosts: ["*/*", "~/*", default/*, shop/*]
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
""",
        ),
        project="shop",
    )
    assert not made.problems
    (scope,) = made.scopes
    assert scope.selector == {"app": "ratings"}
    assert scope.egress == ((9080, ("reviews", "*.example.com")), (0, ("*",)))
    assert scope.registry_only is True


def test_a_namespace_of_istios_holds_nothing_here() -> None:
    text = spec("Sidecar", "egress: [{hosts: [./reviews, istio-system/*, prod/details]}]")
    made = compiled(text, project="shop")
    assert made.scopes[0].egress == ((0, ("reviews", "details")),)
    (problem,) = made.problems
    assert problem.code == "without-effect"
    assert "istio-system" in problem.message
    nobody = compiled(spec("Sidecar", "egress: [{hosts: ['~/*']}]"))
    assert nobody.scopes[0].egress == ((0, ()),)
    assert not nobody.problems


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("egress: [{hosts: []}]", "is empty"),
        ("egress: [{}]", "hosts` is missing"),
        ("egress: [{hosts: ['*/*']}, {port: {number: 1}, hosts: ['*/*']}]", "must be the last"),
        ("egress: [{hosts: ['a b/*']}]", "a host name"),
        ("ingress: [{port: {number: 1, targetPort: 2}}]", "not supported"),
        ("workloadSelector: {labels: {'*': a}}\negress: [{hosts: ['*/*']}]", "no wildcard"),
        ("{}", "is empty"),
    ],
)
def test_what_a_sidecar_cannot_be(body: str, words: str) -> None:
    made = compiled(spec("Sidecar", body))
    assert words in " ".join(map(str, errors(made)))
    assert not made.scopes


# === Gateway ===


def test_a_gateway() -> None:
    made = compiled(
        spec(
            "Gateway",
            """
selector: {istio: ingressgateway}
servers:
- port: {number: 8080, name: http, protocol: HTTP}
  hosts: [uk.bookinfo.com, "prod/*.bookinfo.com"]
  tls: {httpsRedirect: true}
- port: {number: 8443, name: https, protocol: HTTPS}
  hosts: ["*"]
  bind: 127.0.0.1
  tls:
    mode: MUTUAL
    serverCertificate: /c.pem
    privateKey: /k.pem
    caCertificates: /ca.pem
    minProtocolVersion: TLSV1_2
    maxProtocolVersion: TLSV1_3
    cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]
- port: {number: 9443, name: tls, protocol: TLS}
  hosts: [a.example]
  tls: {mode: PASSTHROUGH}
- port: {number: 31400, name: tcp, protocol: MONGO}
  hosts: ["*"]
""",
            name="web",
        )
    )
    assert [problem.code for problem in made.problems] == ["without-effect"], "the selector, with a note"
    http, https, tls, tcp = made.gateways["web"].servers
    assert http.hosts == ("uk.bookinfo.com", "*.bookinfo.com")
    assert http.tls.https_redirect
    assert not http.terminates
    assert (https.protocol, https.bind, https.tls.mode) == (ServerProtocol.HTTPS, "127.0.0.1", TlsMode.MUTUAL)
    assert (https.tls.certificate, https.tls.key, https.tls.ca) == ("/c.pem", "/k.pem", "/ca.pem")
    assert (https.tls.minimum, https.tls.maximum, len(https.tls.ciphers)) == ("TLSV1_2", "TLSV1_3", 1)
    assert tls.tls.mode is TlsMode.PASSTHROUGH
    assert (tcp.protocol, tcp.tls, tcp.name) == (ServerProtocol.TCP, None, "tcp")
    assert https.origin.line == 11


def test_a_secret_of_kubernetes_is_a_certificate_of_the_meshs_own() -> None:
    made = compiled(
        spec(
            "Gateway",
            "servers:\n- port: {number: 443, name: https, protocol: HTTPS}\n  hosts: ['*']\n"
            "  tls: {mode: SIMPLE, credentialName: bookinfo-secret}",
        )
    )
    (server,) = made.gateways["x"].servers
    assert server.terminates
    assert server.tls.certificate == ""
    assert "authority" in made.problems[0].message


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("port: {number: 80, protocol: HTTP, name: a}\n  hosts: []", "is empty"),
        ("port: {number: 80, protocol: HTTP, name: a}", "hosts` is missing"),
        ("hosts: ['*']", "port` is missing"),
        ("port: {number: 0, protocol: HTTP, name: a}\n  hosts: ['*']", "between 1-65535"),
        ("port: {number: 80, protocol: HTTTP, name: a}\n  hosts: ['*']", "`HTTP`"),
        ("port: {number: 80, protocol: HTTP, name: a, targetPort: 8080}\n  hosts: ['*']", "not supported"),
        ("port: {number: 443, protocol: HTTPS, name: a}\n  hosts: ['*']", "no `tls`"),
        ("port: {number: 80, protocol: HTTP, name: a}\n  hosts: ['*']\n  tls: {mode: SIMPLE}", "has no TLS"),
        ("port: {number: 443, protocol: HTTPS, name: a}\n  hosts: ['*']\n  tls: {mode: SIMPLE}", "serverCertificate"),
        ("port: {number: 443, protocol: TLS, name: a}\n  hosts: ['*']\n"
         "  tls: {mode: MUTUAL, serverCertificate: /a, privateKey: /b}", "caCertificates"),
        ("port: {number: 443, protocol: TLS, name: a}\n  hosts: ['*']\n"
         "  tls: {mode: SIMPLE, serverCertificate: a.pem, privateKey: /b}", "absolute path"),
        ("port: {number: 443, protocol: TLS, name: a}\n  hosts: ['*']\n"
         "  tls: {mode: SIMPLE, serverCertificate: /a, privateKey: /b, credentialName: c}", "more than one way"),
        ("port: {number: 80, protocol: HTTP, name: a}\n  hosts: ['*']\n  bind: here", "an IP address"),
    ],
)  # fmt: skip
def test_what_a_server_cannot_be(server: str, words: str) -> None:
    made = compiled(spec("Gateway", f"servers:\n- {server}"))
    assert words in " ".join(map(str, errors(made)))
    assert not made.gateways


def test_a_namespace_of_another_is_refused_and_the_projects_own_is_not() -> None:
    text = spec("Sidecar", "egress: [{hosts: ['*/*']}]").replace("  name: x", "  name: x\n  namespace: shop")
    assert not compiled(text, project="shop").problems
    (problem,) = compiled(text, project="store").problems
    assert (problem.code, problem.line) == ("foreign-namespace", 5)
    assert "store" in problem.hint


def test_a_name_stands_once_in_all_files() -> None:
    text = spec("WorkloadEntry", "address: 1.2.3.4")
    in_default = text.replace("  name: x", "  name: x\n  namespace: default")
    in_own = text.replace("  name: x", "  name: x\n  namespace: shop")
    made = compiled(f"{in_default}---\n{in_own}", project="shop")
    (problem,) = made.problems
    assert (problem.code, problem.line) == ("duplicate-name", 12)


def test_what_depends_on_other_resources_is_said_anew_each_time() -> None:
    root = spec("VirtualService", "hosts: [reviews]\nhttp: [{delegate: {name: team}}]")
    team = spec("VirtualService", "http: [{route: [{destination: {host: reviews.shop}}]}]", name="team")
    (one,), _ = load_documents(root)
    (other,), _ = load_documents(team)
    alone = compile_resources([one], "shop")
    assert [problem.code for problem in alone.problems] == ["unknown-delegate"]
    assert compile_resources([one], "shop") == alone
    both = compile_resources([one, other], "shop")
    assert not both.problems
    assert both.virtual_hosts[0].http[0].destinations[0].destination.host == "reviews.shop"
    known = compile_resources([one, other], "shop", ["reviews"])
    assert known.virtual_hosts[0].http[0].destinations[0].destination.host == "reviews"
    assert compile_resources([one], "shop") == alone
