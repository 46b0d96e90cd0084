"""Istio's own files: samples load, valid cases are accepted, invalid ones refused for the reason that Istio gives."""

from __future__ import annotations

import re

import pytest

from composemesh.model.policy import Balancer, HashKey
from composemesh.model.route import Abort, Delay, Destination, MatchKind, StringMatch, VirtualHost
from unit.config.istio import FOLDER, compiled, errors, files, text_of, warnings

SAMPLES = ("bookinfo", "config", "extauthz", "helloworld", "httpbin", "ratelimit", "tcp-echo", "websockets")
OTHERWISE = {
    "type conversion error from": "the port is",
    "spec.portLevelMtls in body should have at least 1 properties": "`spec.portLevelMtls` is empty",
    "spec.trafficPolicy.loadBalancer.warmup.minimumPercent: Invalid value": "warmup.minimumPercent` is 150.0, and",
    "spec.trafficPolicy.loadBalancer.warmup.duration: Required value": "warmup.duration` is missing",
    "spec.trafficPolicy.loadBalancer.warmup.aggression: Invalid value": "warmup.aggression` is -0.1, and",
    'Unsupported value: "BLAH"': '`spec.mtls.mode` is "BLAH", and must be',
    "spec: Required value": "`spec` is missing",
    "spec.hosts: Required value": "`spec.hosts` is missing",
    "wildcard is not supported in selector": '`spec.workloadSelector.labels.val` is "*", and must be',
    "only one of WorkloadSelector or Endpoints can be set": "only one of `workloadSelector` or `endpoints`",
    "NONE mode cannot set endpoints": "resolution NONE cannot set endpoints",
    "DNS_ROUND_ROBIN mode cannot have multiple endpoints": "DNS_ROUND_ROBIN cannot have multiple endpoints",
}
"""Where our words are others than Istio's: ours name the field with its path and value, and say what it must be."""


def test_every_sample_loads_without_an_error() -> None:
    for folder in SAMPLES:
        for path in files(folder):
            made = compiled(path.read_text())
            assert not errors(made), (path.name, errors(made))
            unexpected = {problem.code for problem in warnings(made)} - {"not-carried-out", "deprecated-field"}
            assert not unexpected, (path.name, warnings(made))


def cases(name: str) -> list[str]:
    """The documents of a file of validation cases: they share names, so each is taken alone."""
    texts = text_of(f"validation/{name}").split("\n---")
    return [text for text in texts if re.search(r"^kind:", text, re.MULTILINE)]


def test_what_istio_accepts_is_accepted() -> None:
    found = 0
    for path in files("validation"):
        if path.name.endswith("-valid.yaml"):
            for case in cases(path.name):
                assert not errors(compiled(case)), (path.name, case)
                found += 1
    assert found >= 12


def test_what_istio_refuses_is_refused_for_the_same_reason() -> None:
    found = 0
    for path in files("validation"):
        if not path.name.endswith("-invalid.yaml"):
            continue
        for case in cases(path.name):
            (wanted, *_) = re.findall(r"^_err: *(.*)$", case, re.MULTILINE)
            wanted = wanted[1:-1] if wanted[0] in "'\"" else wanted
            problems = errors(compiled(re.sub(r"^_err:", "# ", case, flags=re.MULTILINE)))
            assert problems, case
            said = " ".join(problem.message for problem in problems).replace("`", "")
            assert OTHERWISE.get(wanted, wanted).replace("`", "") in said, (wanted, said)
            assert all(problem.line and problem.column for problem in problems)
            found += 1
    assert found >= 20


# === the named behaviours of the samples ===


def virtual(path: str) -> tuple[VirtualHost, ...]:
    made = compiled(text_of(path))
    assert not errors(made)
    return made.virtual_hosts


def test_jason_gets_stars() -> None:
    (reviews,) = virtual("bookinfo/virtual-service-reviews-test-v2.yaml")
    jason, others = reviews.http
    assert jason.matches[0].headers == {"end-user": StringMatch(MatchKind.EXACT, "jason")}
    assert jason.destinations[0].destination == Destination("reviews", "v2")
    assert others.destinations[0].destination == Destination("reviews", "v1")


@pytest.mark.parametrize(
    ("name", "arms"),
    [
        ("80-20", {"v1": 80, "v2": 20}),
        ("90-10", {"v1": 90, "v2": 10}),
        ("50-v3", {"v1": 50, "v3": 50}),
        ("v2-v3", {"v2": 50, "v3": 50}),
    ],
)
def test_splits_of_reviews(name: str, arms: dict[str, int]) -> None:
    (reviews,) = virtual(f"bookinfo/virtual-service-reviews-{name}.yaml")
    assert {arm.destination.subset: arm.weight for arm in reviews.http[0].destinations} == arms


def test_faults_of_bookinfo() -> None:
    (delayed,) = virtual("bookinfo/virtual-service-ratings-test-delay.yaml")
    (aborted,) = virtual("bookinfo/virtual-service-ratings-test-abort.yaml")
    (details,) = virtual("bookinfo/fault-injection-details-v1.yaml")
    assert delayed.http[0].fault.delay == Delay(7.0, 100.0)
    assert aborted.http[0].fault.abort == Abort(100.0, 500)
    assert details.http[0].fault.abort == Abort(100.0, 555)


def test_the_gateway_of_bookinfo() -> None:
    made = compiled(text_of("bookinfo/bookinfo-gateway.yaml"))
    (gateway,) = made.gateways.values()
    assert [server.port for server in gateway.servers] == [8080]
    (virtual,) = made.virtual_hosts
    assert virtual.gateways == ("bookinfo-gateway",)
    assert virtual.hosts == ("*",)
    kinds = [(match.uri.kind, match.uri.value) for match in virtual.http[0].matches]
    assert (MatchKind.EXACT, "/productpage") in kinds
    assert (MatchKind.PREFIX, "/static") in kinds
    assert virtual.http[0].destinations[0].destination == Destination("productpage", port=9080)


def test_tcp_echo_is_split_by_weight() -> None:
    made = compiled(text_of("tcp-echo/tcp-echo-20-v2.yaml"))
    weights = [arm.weight for host in made.virtual_hosts for rule in host.tcp for arm in rule.destinations]
    assert weights == [80, 20]


def test_the_corpus_of_all_fields() -> None:
    everything = compiled("\n---\n".join(path.read_text() for path in files("config") if "authn" not in path.name))
    policy = everything.policies["destall"]
    assert policy.policy.connections.max_connections == 99
    assert policy.policy.outliers.interval == 0.008
    assert policy.subsets["v2"].policy.balance.hash.key is HashKey.COOKIE
    assert policy.subsets["v2"].policy.balance.hash.minimum_ring_size == 42
    assert everything.policies["www.webinf.info"].policy.balance.kind is Balancer.LEAST_REQUEST
    hosts = {host.hosts[0]: host for host in everything.virtual_hosts}
    assert hosts["c-weighted.extsvc.com"].http[0].destinations[0].weight == 75
    assert hosts["headers.test.istio.io"].http[0].matches[0].source_labels == {"version": "v1"}
    assert hosts["fault.test.istio.io"].http[0].fault.abort.http_status == 503
    assert hosts["appendh.test.istio.io"].http[0].headers.request.add == (
        ("istio-custom-header", "user-defined-value"),
    )
    assert [rule.matches[0].sni_hosts for rule in hosts["api.dropboxapi.com"].tls] == [
        ("api.dropboxapi.com",), ("www.googleapis.com",), ("api.facebook.com",),
    ]  # fmt: skip
    in_order = [host.http[0].matches[0].uri.value for host in everything.virtual_hosts if host.hosts == ("c.foo",)]
    assert in_order == ["/bar", "/foo"]
    entries = {entry.hosts[0]: entry for entry in everything.entries}
    assert [end.ports["http"] for end in entries["fault.test.istio.io"].endpoints] == [8080, 8081]
    assert everything.scopes[0].egress == ((0, ("*",)),)
    assert everything.gateways["my-gateway"].servers[0].tls.https_redirect


def test_the_folder_is_the_one_that_is_meant() -> None:
    text_of("NOTICE")
    assert (FOLDER / "analysis-messages.yaml").is_file()
