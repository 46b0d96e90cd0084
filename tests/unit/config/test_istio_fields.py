"""Every field of Istio's traffic API, listed by hand from its protos: compiled, or named by a Problem."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from composemesh.config.kinds import KINDS
from composemesh.config.resources import Compiled, compile_resources, load_documents
from composemesh.config.schema.messages import Message, rows
from composemesh.model.origin import Origin

BASES: dict[str, dict[str, Any]] = yaml.safe_load("""
VIRTUAL_SERVICE:
  hosts: [reviews]
  http: [{match: [{method: {exact: GET}}], route: [{destination: {host: ratings}}]}]
AT_PATH: {hosts: [a], http: [{match: [{uri: {exact: /a}}], route: [{destination: {host: ratings}}]}]}
TLS: {hosts: [reviews], tls: [{match: [{sniHosts: [reviews]}], route: [{destination: {host: ratings}}]}]}
TCP: {hosts: [reviews], tcp: [{match: [{port: 1}], route: [{destination: {host: ratings}}]}]}
NO_ROUTE: {hosts: [reviews], http: [{redirect: {uri: /}}]}
ELSEWHERE: {hosts: [reviews], http: [{redirect: {authority: b}}]}
DIRECT: {hosts: [reviews], http: [{directResponse: {status: 200}}]}
RETRIED: {hosts: [reviews], http: [{route: [{destination: {host: ratings}}], retries: {attempts: 1}}]}
FAULTY:
  hosts: [reviews]
  http:
  - route: [{destination: {host: ratings}}]
    fault:
      delay: {fixedDelay: 1s, percentage: {value: 1}}
      abort: {httpStatus: 500, percentage: {value: 1}}
MIRRORED: {hosts: [reviews], http: [{route: [{destination: {host: ratings}}], mirror: {host: ratings}}]}
DELEGATED: {hosts: [reviews], http: [{delegate: {name: team}}]}
RULE: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1}]}
HASH: {host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}
COOKIE: {host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c}}}}}
SPLIT: {host: reviews, trafficPolicy: {outlierDetection: {splitExternalLocalOriginErrors: true}}}
PORT_LEVEL:
  host: reviews
  trafficPolicy: {portLevelSettings: [{port: {number: 1}, loadBalancer: {simple: RANDOM}}]}
GATEWAY: {servers: [{port: {number: 80, protocol: HTTP, name: a}, hosts: ["*"]}]}
HTTPS:
  servers:
  - port: {number: 443, protocol: HTTPS, name: a}
    hosts: ["*"]
    tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k, caCertificates: /a}
SECRET:
  servers:
  - {port: {number: 443, protocol: HTTPS, name: a}, hosts: ["*"], tls: {mode: PASSTHROUGH}}
ENTRY:
  hosts: [a.b]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  endpoints: [{address: 1.2.3.4}]
SELECTED: {hosts: [a.b], resolution: STATIC}
PATTERN: {hosts: ["*.b"]}
SIDECAR: {egress: [{port: {number: 80, protocol: HTTP, name: a}, hosts: [./reviews]}]}
""")
MATCH, RTE, POLICY, BALANCER = (
    "http[0].match[0].",
    "http[0].route[0].",
    "trafficPolicy.",
    "trafficPolicy.loadBalancer.",
)
POOL, OUTLIERS = "trafficPolicy.connectionPool.", "trafficPolicy.outlierDetection."
SERVER, EDGE_TLS = "servers[0].", "servers[0].tls."

DEST = {"host": "ratings"}
DELAY = {"delay": {"fixedDelay": "1s", "percentage": {"value": 1}}}
LIMIT = {"tcp": {"maxConnections": 1}}
PEM = {"serverCertificate": "/c", "privateKey": "/k"}
AT_PORT = BASES["PORT_LEVEL"]["trafficPolicy"]["portLevelSettings"]
OWN_LISTENER = {"port": {"number": 1}, "bind": "1.2.3.4", "captureMode": "NONE", "defaultEndpoint": ":1", "tls": {}}
Case = tuple[str, str, str, Any]


def cases(kind: str, base: str, prefix: str, fields: Mapping[str, Any]) -> list[Case]:
    return [(kind, base, prefix + field, value) for field, value in fields.items()]


FIELDS: list[Case] = [
    *cases("VirtualService", "VIRTUAL_SERVICE", "", {
        "hosts": ["other"], "gateways": ["mesh", "web"], "exportTo": ["."], "http[0].name": "n",
        "tls": BASES["TLS"]["tls"], "tcp": BASES["TCP"]["tcp"],
    }),
    *cases("VirtualService", "VIRTUAL_SERVICE", MATCH, {
        "name": "n", "uri": {"exact": "/a"}, "scheme": {"prefix": "h"}, "method": {"regex": "G.*"},
        "authority": {"exact": "a"}, "headers": {"a": {}}, "withoutHeaders": {"a": {"exact": "b"}},
        "queryParams": {"q": {"exact": ""}}, "port": 80, "sourceLabels": {"app": "a"},
        "sourceNamespace": "a", "gateways": ["mesh", "web"], "statPrefix": "p",
    }),
    ("VirtualService", "AT_PATH", f"{MATCH}ignoreUriCase", True),
    *cases("VirtualService", "VIRTUAL_SERVICE", "http[0].", {
        "match": [], "route": [{"destination": {"host": "x"}}], "rewrite": {"uri": "/"}, "timeout": "1s",
        "retries": {"attempts": 1}, "fault": DELAY, "mirror": DEST, "mirrors": [{"destination": DEST}],
        "corsPolicy": {"allowMethods": ["GET"]}, "headers": {"request": {"remove": ["a"]}},
    }),
    *cases("VirtualService", "VIRTUAL_SERVICE", RTE, {
        "destination.host": "x", "destination.subset": "v1", "destination.port.number": 80, "weight": 7,
        "headers.request.set": {"a": "b"}, "headers.request.add": {"a": "b"}, "headers.request.remove": ["a"],
        "headers.response.set": {"a": "b"}, "headers.response.add": {"a": "b"}, "headers.response.remove": ["a"],
    }),
    *cases("VirtualService", "NO_ROUTE", "http[0].redirect.", {
        "uri": "/a", "authority": "a", "port": 80, "derivePort": "FROM_PROTOCOL_DEFAULT", "scheme": "https",
        "redirectCode": 308,
    }),
    ("VirtualService", "ELSEWHERE", "http[0].redirect.prefixRewrite", "/"),
    *cases("VirtualService", "DIRECT", "http[0].directResponse.", {
        "status": 503, "body.string": "a", "body.bytes": "aGk=",
    }),
    *cases("VirtualService", "DELEGATED", "http[0].delegate.", {"name": "nobody", "namespace": "default"}),
    *cases("VirtualService", "VIRTUAL_SERVICE", "http[0].rewrite.", {
        "uri": "/", "authority": "a", "uriRegexRewrite": {"match": "a", "rewrite": "b"},
    }),
    *cases("VirtualService", "VIRTUAL_SERVICE", "http[0].retries.", {
        "attempts": 3, "backoff": "1s", "retryRemoteLocalities": True, "retryIgnorePreviousHosts": False,
    }),
    ("VirtualService", "RETRIED", "http[0].retries.perTryTimeout", "1s"),
    ("VirtualService", "RETRIED", "http[0].retries.retryOn", "5xx"),
    *cases("VirtualService", "FAULTY", "http[0].fault.", {
        "delay.fixedDelay": "2s", "delay.exponentialDelay": "1s", "delay.percentage.value": 2, "delay.percent": 3,
        "abort.httpStatus": 404, "abort.grpcStatus": "UNAVAILABLE", "abort.http2Error": "X",
        "abort.percentage.value": 2, "abort.percent": 3,
    }),
    *cases("VirtualService", "MIRRORED", "http[0].", {"mirrorPercent": 5, "mirrorPercentage": {"value": 5}}),
    ("VirtualService", "VIRTUAL_SERVICE", "http[0].mirrors", [{"destination": DEST, "percentage": {"value": 5}}]),
    *cases("VirtualService", "VIRTUAL_SERVICE", "http[0].corsPolicy.", {
        "allowOrigins": [{"exact": "a"}], "allowOrigin": ["a"], "allowMethods": ["GET"], "allowHeaders": ["a"],
        "exposeHeaders": ["a"], "maxAge": "1s", "allowCredentials": True, "unmatchedPreflights": "IGNORE",
    }),
    *cases("VirtualService", "TLS", "tls[0].match[0].", {
        "sniHosts": ["reviews", "REVIEWS"], "destinationSubnets": ["10.0.0.0/8"], "port": 443,
        "sourceLabels": {"app": "a"}, "gateways": ["mesh", "web"], "sourceNamespace": "a",
    }),
    *cases("VirtualService", "TLS", "tls[0].route[0].", {"destination.subset": "v1", "weight": 5}),
    *cases("VirtualService", "TCP", "tcp[0].match[0].", {
        "destinationSubnets": ["10.0.0.0/8"], "port": 443, "sourceSubnet": "10.0.0.0/8",
        "sourceLabels": {"app": "a"}, "gateways": ["mesh", "web"], "sourceNamespace": "a",
    }),
    *cases("VirtualService", "TCP", "tcp[0].route[0].", {"destination.subset": "v1", "weight": 5}),

    *cases("DestinationRule", "RULE", "", {
        "host": "ratings", "exportTo": ["*"], "workloadSelector.matchLabels": {"app": "a"},
        "subsets[0].name": "v2", "subsets[0].labels": {"version": "v1"},
        "subsets[0].trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}},
    }),
    *cases("DestinationRule", "RULE", POLICY, {
        "tls.mode": "SIMPLE", "tls.clientCertificate": "/a", "tls.privateKey": "/a", "tls.caCertificates": "/a",
        "tls.caCrl": "/a", "tls.credentialName": "a", "tls.subjectAltNames": ["a"], "tls.sni": "a",
        "tls.insecureSkipVerify": True, "portLevelSettings": AT_PORT,
        "tunnel": {"protocol": "POST", "targetHost": "a", "targetPort": 1}, "proxyProtocol.version": "V2",
        "retryBudget.percent": 1, "retryBudget.minRetryConcurrency": 1, "retryBudget.budgetInterval": "1s",
    }),
    *cases("DestinationRule", "PORT_LEVEL", "trafficPolicy.portLevelSettings[0].", {
        "port.number": 2, "loadBalancer": {"simple": "ROUND_ROBIN"}, "connectionPool": LIMIT,
        "outlierDetection": {"interval": "1s"}, "tls": {"mode": "SIMPLE"},
    }),
    *cases("DestinationRule", "RULE", BALANCER, {
        "simple": "PASSTHROUGH", "localityLbSetting.distribute": [{"from": "a", "to": {"b": 100}}],
        "localityLbSetting.failover": [{"from": "a", "to": "b"}], "localityLbSetting.failoverPriority": ["a"],
        "localityLbSetting.enabled": True, "zoneAwareLbSetting.enabled": True,
        "zoneAwareLbSetting.failover": [{"from": "a", "to": "b"}], "zoneAwareLbSetting.failoverPriority": ["a"],
        "zoneAwareLbSetting.minClusterSize": 6, "warmup": {"duration": "1s", "minimumPercent": 1, "aggression": 1.0},
        "warmupDurationSecs": "1s",
    }),
    *cases("DestinationRule", "HASH", f"{BALANCER}consistentHash.", {
        "useSourceIp": False, "ringHash.minimumRingSize": 8, "maglev.tableSize": 65537, "minimumRingSize": 8,
    }),
    *[("DestinationRule", "RULE", f"{BALANCER}consistentHash", value) for value in (
        {"httpHeaderName": "a"}, {"httpQueryParameterName": "a"}, {"httpCookie": {"name": "a"}},
    )],
    *cases("DestinationRule", "COOKIE", f"{BALANCER}consistentHash.httpCookie.", {
        "name": "d", "path": "/", "ttl": "1s", "attributes": [{"name": "a", "value": "b"}],
    }),
    *cases("DestinationRule", "RULE", f"{POOL}tcp.", {
        "maxConnections": 1, "connectTimeout": "1s", "tcpKeepalive.probes": 1, "tcpKeepalive.time": "1s",
        "tcpKeepalive.interval": "1s", "maxConnectionDuration": "1s", "idleTimeout": "1s",
    }),
    *cases("DestinationRule", "RULE", f"{POOL}http.", {
        "http1MaxPendingRequests": 1, "http2MaxRequests": 1, "maxRequestsPerConnection": 1, "maxRetries": 1,
        "idleTimeout": "1s", "h2UpgradePolicy": "UPGRADE", "useClientProtocol": True, "maxConcurrentStreams": 1,
        "http2KeepAlive": {"interval": "1s", "timeout": "1s"},
    }),
    *cases("DestinationRule", "RULE", OUTLIERS, {
        "consecutive5xxErrors": 1, "consecutiveGatewayErrors": 1, "splitExternalLocalOriginErrors": True,
        "interval": "1s", "baseEjectionTime": "1s", "maxEjectionPercent": 1, "minHealthPercent": 1,
        "outlierDetectionHttpErrorCodes": [429], "consecutiveErrors": 1,
    }),
    ("DestinationRule", "SPLIT", f"{OUTLIERS}consecutiveLocalOriginFailures", 9),

    *cases("Gateway", "GATEWAY", "", {"selector": {"a": "b"}}),
    *cases("Gateway", "GATEWAY", SERVER, {
        "name": "n", "port.number": 81, "port.protocol": "HTTP2", "port.name": "b", "port.targetPort": 1,
        "bind": "127.0.0.1", "hosts": ["ns/a.b"], "defaultEndpoint": "127.0.0.1:1", "tls.httpsRedirect": True,
    }),
    *cases("Gateway", "HTTPS", EDGE_TLS, {
        "mode": "PASSTHROUGH", "serverCertificate": "/d", "privateKey": "/d", "caCertificates": "/d", "caCrl": "/d",
        "subjectAltNames": ["a"], "verifyCertificateSpki": ["a"], "verifyCertificateHash": ["a"],
        "minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLSV1_2", "cipherSuites": ["A"],
        "insecureSkipVerify": True,
    }),
    *cases("Gateway", "SECRET", EDGE_TLS, {
        "credentialName": "a", "credentialNames": ["a"], "caCertCredentialName": "a", "tlsCertificates": [PEM],
    }),
    *[("Gateway", "HTTPS", f"{EDGE_TLS}mode", mode)
      for mode in ("AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")],
    *[("Gateway", "HTTPS", f"{EDGE_TLS}minProtocolVersion", version)
      for version in ("TLSV1_0", "TLSV1_1", "TLSV1_2")],

    *cases("ServiceEntry", "ENTRY", "", {
        "hosts": ["c.d"], "addresses": ["1.2.3.4"], "ports[0].number": 81, "ports[0].protocol": "GRPC",
        "ports[0].name": "b", "ports[0].targetPort": 1, "location": "MESH_INTERNAL", "resolution": "DNS",
        "exportTo": ["*"], "subjectAltNames": ["a"], "endpoints[0].address": "4.3.2.1",
        "endpoints[0].ports": {"http": 1}, "endpoints[0].labels": {"a": "b"}, "endpoints[0].network": "a",
        "endpoints[0].locality": "a", "endpoints[0].weight": 2, "endpoints[0].serviceAccount": "a",
    }),
    ("ServiceEntry", "SELECTED", "workloadSelector", {"labels": {"a": "b"}}),
    ("ServiceEntry", "PATTERN", "resolution", "DYNAMIC_DNS"),
    *cases("Sidecar", "SIDECAR", "", {
        "workloadSelector.labels": {"app": "a"}, "egress[0].port.number": 81, "egress[0].port.targetPort": 1,
        "egress[0].bind": "127.0.0.1",
        "egress[0].captureMode": "NONE", "egress[0].hosts": ["*/*"], "outboundTrafficPolicy.mode": "REGISTRY_ONLY",
        "outboundTrafficPolicy.egressProxy": DEST, "inboundConnectionPool": LIMIT,
        "ingress": [OWN_LISTENER],
    }),
]  # fmt: skip


def put(spec: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The spec with one field set; of a `oneof`, with its other fields taken out where the new one replaces them."""
    changed = copy.deepcopy(dict(spec))
    at: Any = changed
    *steps, last = [int(step) if step.isdigit() else step for step in re.split(r"[.\[]", path.replace("]", ""))]
    for step in steps:
        at = at[step] if isinstance(step, int) else at.setdefault(step, {})
    for one, other in REPLACES:
        if last == one:
            at.pop(other, None)
    at[last] = value
    return changed


REFUSED = ("exponentialDelay", "http2Error", "targetPort")
"""By Istio, too."""
REPLACES = [
    ("percent", "percentage"),
    ("grpcStatus", "httpStatus"),
    ("http2Error", "httpStatus"),
    ("exponentialDelay", "fixedDelay"),
    ("consistentHash", "simple"),
]


def compiled(kind: str, spec: Mapping[str, Any]) -> Compiled:
    team = {"http": [{"route": [{"destination": DEST}]}]}
    documents = [(kind, "x", spec), ("VirtualService", "team", team)]
    text = yaml.safe_dump_all(
        {"apiVersion": "networking.istio.io/v1", "kind": one, "metadata": {"name": name}, "spec": said}
        for one, name, said in documents
    )
    resources, problems = load_documents(text, "mesh.yaml")
    assert not problems
    return compile_resources(resources, "", ["reviews"])


def meaning(value: Any) -> Any:
    """A value of the model without the places where it was said."""
    if isinstance(value, Origin):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: meaning(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: meaning(item) for key, item in value.items()}
    return [meaning(item) for item in value] if isinstance(value, tuple | list) else value


def model(made: Compiled) -> Any:
    return meaning([made.virtual_hosts, made.policies, made.entries, made.scopes, made.gateways])


@pytest.mark.parametrize(("kind", "base", "path", "value"), FIELDS, ids=[f"{case[0]}.{case[2]}" for case in FIELDS])
def test_a_field_is_carried_out_or_named(kind: str, base: str, path: str, value: Any) -> None:
    before, after = compiled(kind, BASES[base]), compiled(kind, put(BASES[base], path, value))
    assert before.sound, before.problems
    steps = re.split(r"(?=[.\[])", path)
    above = ["".join(steps[:length]) for length in range(1, len(steps) + 1)]
    news = {problem.message for problem in after.problems} - {problem.message for problem in before.problems}
    named = any(f"`spec.{name}`" in message for message in news for name in above)
    if not after.sound:
        assert named, after.problems
        assert path.endswith(REFUSED), after.problems
    elif not path.endswith("useClientProtocol"):  # what is the case anyway
        assert named or model(before) != model(after), f"{path} is taken in silence"


def test_the_list_has_every_field_of_the_tables() -> None:
    """A field that a table has and the list above lacks would go untested."""
    listed: dict[str, set[str]] = {}
    for name, base, path, value in FIELDS:
        words = listed.setdefault(name, set())
        words.update(re.findall(r"[A-Za-z0-9]+", path))
        words.update(re.findall(r"[A-Za-z0-9]+", yaml.safe_dump([BASES[base], value])))
    traffic = ("VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar")
    for kind in KINDS:
        if kind.name in traffic and kind.group == "networking.istio.io":
            assert isinstance(kind.spec, Message)
            names = {path[-1] for path, _ in rows(kind.spec)}
            assert names <= listed[kind.name], kind.name
