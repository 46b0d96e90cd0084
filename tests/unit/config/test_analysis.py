"""What resources say together: Istio's codes, each with a case that has it and one that hasn't."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pytest

from composemesh.config.analysis import analyse, findings
from composemesh.config.analysis.findings import Message
from composemesh.model.problem import Severity
from unit.config.istio import compiled, spec, text_of

SERVICES = {"reviews": (9080,), "ratings": (), "web": (80, 443)}
GATEWAY = spec(
    "Gateway", "servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [shop.example]}]", name="edge"
)
SUBSETS = spec("DestinationRule", "host: reviews\nsubsets: [{name: v1}, {name: v2}]", name="subsets")


def found(*texts: str, services: Mapping[str, Collection[int]] | None = SERVICES) -> list[tuple[str, str]]:
    """Code and message of each finding."""
    made = compiled("---\n".join(texts), services or ())
    assert made.sound, made.problems
    problems = analyse(made, services)
    assert all(problem.line and problem.file and problem.hint for problem in problems), problems
    return [(problem.code, problem.message) for problem in problems]


def virtual(body: str, name: str = "x", hosts: str = "[reviews]", extra: str = "") -> str:
    return spec("VirtualService", f"hosts: {hosts}\n{extra}{body}", name=name)


def to(destination: str) -> str:
    return virtual(f"http: [{{route: [{{destination: {{{destination}}}}}]}}]")


def test_istios_bookinfo_is_in_order() -> None:
    texts = [text_of(f"bookinfo/{name}.yaml") for name in ("destination-rule-all", "virtual-service-all-v1")]
    services = dict.fromkeys(("productpage", "reviews", "ratings", "details"), (9080,))
    assert found(*texts, services=services) == []
    assert found(*texts, text_of("bookinfo/bookinfo-gateway.yaml"), services=services) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (to("host: reviews"), None),
        (to("host: Reviews.default.svc.cluster.local"), None),
        (to("host: review"), 'host not found: "review"'),
        (to("host: reviews, port: {number: 9080}"), None),
        (to("host: reviews, port: {number: 80}"), 'host:port not found: "reviews:80"'),
        (to("host: ratings, port: {number: 80}"), None),
        (to("host: reviews, subset: v1"), None),
        (to("host: reviews, subset: v3"), 'host+subset in destinationrule not found: "reviews+v3"'),
        (to("host: api.example.com, port: {number: 443}"), None),
        (to("host: api.example.com, port: {number: 80}"), "host:port"),
        (to("host: any.wild.example"), None),
        (virtual("http: [{route: [{destination: {host: reviews}}], mirror: {host: gone}}]"), '"gone"'),
        (virtual("tcp: [{route: [{destination: {host: gone}}]}]"), '"gone"'),
        (virtual("http: [{redirect: {uri: /}}]", extra="gateways: [nowhere]\n"), "gateway not found"),
    ],
)  # fmt: skip
def test_references(text: str, wanted: str | None) -> None:
    external = spec(
        "ServiceEntry", "hosts: [api.example.com, '*.wild.example']\nports: [{number: 443, name: https}]", name="out"
    )
    problems = found(text, SUBSETS, external)
    assert [code for code, _ in problems] == (["IST0101"] if wanted else [])
    assert wanted is None or wanted in problems[0][1]


def test_hosts_are_unknown_only_where_the_project_is_known() -> None:
    text = to("host: gone")
    assert found(text, services=None) == []
    assert [code for code, _ in found(text, services={})] == ["IST0101"]


def test_the_host_of_a_destination_rule() -> None:
    text = spec("DestinationRule", "host: reviws\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}")
    assert [code for code, _ in found(text)] == ["IST0174"]
    assert found(text.replace("reviws", "reviews")) == []
    assert found(text.replace("reviws", "'*.local'")) == [], "every service of the project"
    assert [code for code, _ in found(text.replace("reviws", "'*.example'"))] == ["IST0174"]


def test_a_port_is_needed_where_no_caller_says_one() -> None:
    at_edge = "gateways: [edge]\n"
    text = virtual("http: [{route: [{destination: {host: web}}]}]", hosts="[shop.example]", extra=at_edge)
    assert [code for code, _ in found(text, GATEWAY)] == ["IST0112"]
    assert found(text.replace("host: web", "host: web, port: {number: 80}"), GATEWAY) == []
    assert found(text.replace("[edge]", "[edge, mesh]"), GATEWAY) == []


def test_a_host_that_the_gateway_does_not_serve() -> None:
    text = virtual("http: [{redirect: {uri: /}}]", hosts="[other.example]", extra="gateways: [edge]\n")
    assert [code for code, _ in found(text, GATEWAY)] == ["IST0132"]
    assert found(text.replace("other", "shop"), GATEWAY) == []
    assert found(text.replace("other.example", "'*.example'"), GATEWAY) == []


def test_two_virtual_services_for_a_host() -> None:
    one, two = (virtual("http: [{route: [{destination: {host: reviews}}]}]", name) for name in ("one", "two"))
    ((code, message),) = found(one, two)
    assert code == "IST0109"
    assert "one, two" in message
    at_edge = two.replace("hosts: [reviews]", "hosts: [reviews]\n  gateways: [edge]")
    assert [code for code, _ in found(one, at_edge, GATEWAY)] == ["IST0132"], "a gateway's rules are another matter"


def test_two_sidecars() -> None:
    every = spec("Sidecar", "egress: [{hosts: ['*/*']}]", name="one")
    some = spec("Sidecar", "workloadSelector: {labels: {app: a}}\negress: [{hosts: ['*/*']}]", name="two")
    assert found(every, some) == []
    assert [code for code, _ in found(every, every.replace("name: one", "name: other"))] == ["IST0111"]
    assert [code for code, _ in found(some, some.replace("name: two", "name: other"))] == ["IST0110"]


def test_two_gateways() -> None:
    assert [code for code, _ in found(GATEWAY, GATEWAY.replace("edge", "other"))] == ["IST0145"]
    assert found(GATEWAY, GATEWAY.replace("edge", "other").replace("number: 80", "number: 81")) == []
    tls = "{mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem}"
    one = spec(
        "Gateway",
        f"servers: [{{port: {{number: 443, name: a, protocol: HTTPS}}, hosts: [a.b], tls: {tls}}}]",
        name="one",
    )
    assert [code for code, _ in found(one, one.replace("name: one", "name: two").replace("a.b", "c.d"))] == [
        "IST0138"
    ]


def test_two_protocols_of_a_port() -> None:
    one, two = (
        spec("ServiceEntry", f"hosts: [a.b]\nports: [{{number: 80, name: p, protocol: {protocol}}}]", name=name)
        for name, protocol in (("one", "HTTP"), ("two", "TCP"))
    )
    assert [code for code, _ in found(one, two)] == ["IST0177"]
    assert found(one, two.replace("TCP", "HTTP")) == []


def reach(*matches: str) -> list[tuple[str, str]]:
    rules = "".join(
        f"\n- route: [{{destination: {{host: reviews}}}}]{f'{chr(10)}  match: [{match}]' if match else ''}"
        for match in matches
    )
    return found(virtual(f"http:{rules}"))


@pytest.mark.parametrize(
    ("matches", "codes"),
    [
        (("{uri: {prefix: /a}}", ""), []),
        (("", "{uri: {prefix: /a}}"), ["IST0130"]),
        (("", ""), ["IST0130"]),
        (("{uri: {prefix: /a}}", "{uri: {prefix: /a}}"), ["IST0131", "IST0130"]),
        (("{uri: {prefix: /a}}", "{uri: {exact: /ab}}, {uri: {prefix: /b}}"), ["IST0131"]),
        (("{uri: {prefix: /a}}", "{uri: {prefix: /ab}, headers: {x: {exact: y}}}"), ["IST0131", "IST0130"]),
        (("{uri: {prefix: /a}, headers: {x: {exact: y}}}", "{uri: {prefix: /ab}}"), []),
        (("{headers: {x: {}}}", "{headers: {x: {regex: 'a+'}}}"), ["IST0131", "IST0130"]),
        (("{headers: {x: {regex: 'a+'}}}", "{headers: {x: {exact: aa}}}"), []),
        (("{port: 80}", "{port: 81}"), []),
        (("{sourceLabels: {app: a}}", "{sourceLabels: {app: a, version: v1}}"), ["IST0131", "IST0130"]),
        (("{sourceLabels: {app: a, version: v1}}", "{sourceLabels: {app: a}}"), []),
        (("{uri: {prefix: /a}, ignoreUriCase: true}", "{uri: {prefix: /a}}"), []),
        (("{uri: {prefix: /}, gateways: [mesh]}", "{uri: {prefix: /}}"), []),
        (("{withoutHeaders: {x: {}}}", "{uri: {prefix: /}}"), []),
        (("{queryParams: {q: {exact: a}}}", "{queryParams: {q: {exact: a}, r: {exact: b}}}"), ["IST0131", "IST0130"]),
    ],
)
def test_rules_that_no_request_reaches(matches: tuple[str, ...], codes: list[str]) -> None:
    assert [code for code, _ in reach(*matches)] == codes


def test_connections_that_reach_no_rule() -> None:
    text = virtual("tcp:\n- route: [{destination: {host: reviews}}]\n- route: [{destination: {host: ratings}}]")
    assert [code for code, _ in found(text)] == ["IST0130"]
    narrower = "\n- match: [{port: 80, destinationSubnets: [10.0.0.0/8]}]\n  route: [{destination: {host: ratings}}]"
    wide = "tcp:\n- match: [{port: 80}]\n  route: [{destination: {host: reviews}}]"
    assert [code for code, _ in found(virtual(wide + narrower))] == ["IST0131", "IST0130"]
    assert found(virtual((wide + narrower).replace("port: 80, d", "port: 81, d"))) == []


def test_codes_and_severities_are_istios_or_milder() -> None:
    said = text_of("analysis-messages.yaml")
    levels = dict(re.findall(r"code: (IST\d+)\n\s+level: (\w+)", said))
    order = [Severity.INFO, Severity.WARNING, Severity.ERROR]
    messages = [message for message in vars(findings).values() if isinstance(message, Message)]
    assert len(messages) >= 12
    for message in messages:
        if message.code.startswith("KIA"):
            continue  # Kiali's
        assert message.code in levels
        assert order.index(message.severity) <= order.index(Severity(levels[message.code].lower()))
