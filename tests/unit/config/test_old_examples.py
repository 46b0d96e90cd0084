"""Examples as articles of 2018 print them: they load, and say what to write today. Retyped, not copied."""

from __future__ import annotations

from composemesh.model.policy import OutlierDetection
from composemesh.model.route import Delay, Destination, MatchKind
from unit.config.istio import compiled, errors, spec, warnings

OLD = "networking.istio.io/v1alpha3"
RBAC = "rbac.istio.io/v1alpha1"


def test_the_gateway_of_a_book_shop() -> None:
    made = compiled(
        spec(
            "Gateway",
            """
selector: {istio: ingressgateway}
servers:
- port: {number: 80, name: http, protocol: HTTP}
  hosts: ["*"]
""",
            OLD,
            "bookinfo-gateway",
        )
    )
    assert not errors(made)
    assert not warnings(made)
    assert made.gateways["bookinfo-gateway"].servers[0].port == 80


def test_its_virtual_service() -> None:
    matches = ["{exact: /productpage}", "{exact: /login}", "{exact: /logout}", "{prefix: /api/v1/products}"]
    listed = "\n".join(f"  - uri: {match}" for match in matches)
    body = f"""
hosts: ["*"]
gateways: [bookinfo-gateway]
http:
- match:
{listed}
  route:
  - destination: {{host: productpage, port: {{number: 9080}}}}
"""
    made = compiled(spec("VirtualService", body, OLD))
    assert not made.problems
    (rule,) = made.virtual_hosts[0].http
    assert [match.uri.kind for match in rule.matches] == [MatchKind.EXACT] * 3 + [MatchKind.PREFIX]
    assert rule.destinations[0].destination == Destination("productpage", port=9080)


def test_a_role_and_its_binding() -> None:
    role = spec(
        "ServiceRole",
        'rules: [{services: ["products.default.svc.cluster.local"], methods: ["GET", "HEAD"]}]',
        RBAC,
        "viewer",
    )
    binding = spec(
        "ServiceRoleBinding",
        """
subjects: [{properties: {"request.auth.claims[email]": "a@example.com"}}]
roleRef: {kind: ServiceRole, name: viewer}
""",
        RBAC,
        "binding",
    )
    made = compiled(f"{role}---\n{binding}")
    assert not errors(made)
    assert [problem.code for problem in made.problems] == ["not-carried-out"] * 2
    assert all("AuthorizationPolicy" in problem.hint for problem in made.problems)


def test_outlier_detection_beside_the_traffic_policy() -> None:
    made = compiled(
        spec(
            "DestinationRule",
            """
host: reviews
trafficPolicy:
  connectionPool: {tcp: {maxConnections: 100}}
outlierDetection:
  http: {consecutiveErrors: 7, interval: 5m, baseEjectionTime: 15m}
""",
            OLD,
        )
    )
    assert not errors(made)
    policy = made.policies["reviews"].policy
    assert policy.outliers == OutlierDetection(consecutive_5xx=7, interval=300.0, base_ejection_time=900.0)
    assert policy.connections.max_connections == 100
    hints = " ".join(problem.hint for problem in warnings(made))
    assert "`trafficPolicy`" in hints
    assert "consecutive5xxErrors" in hints


def test_a_delay_whose_route_stands_outside_of_its_item() -> None:
    made = compiled(
        spec(
            "VirtualService",
            """
hosts: [ratings]
http:
- fault:
    delay: {percent: 10, fixedDelay: 5s}
route:
- destination: {host: ratings, subset: v1}
""",
            OLD,
        )
    )
    assert not errors(made)
    (rule,) = made.virtual_hosts[0].http
    assert rule.fault.delay == Delay(5.0, 10.0)
    assert rule.destinations[0].destination == Destination("ratings", "v1")
    hints = " ".join(problem.hint for problem in warnings(made))
    assert "percentage: {value: …}" in hints
    assert "into the item of `http`" in hints


def test_hello_world() -> None:
    gateway = spec(
        "Gateway",
        "servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]",
        OLD,
        "helloworld-gateway",
    )
    virtual = spec(
        "VirtualService",
        """
hosts: ["*"]
gateways: [helloworld-gateway]
http:
- match: [{uri: {exact: /hello}}]
  route: [{destination: {host: helloworld, port: {number: 5000}}}]
""",
        OLD,
    )
    made = compiled(f"{gateway}---\n{virtual}")
    assert not made.problems
    assert made.virtual_hosts[0].http[0].matches[0].uri.value == "/hello"
