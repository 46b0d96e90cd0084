"""What becomes of a request that meets a rule, in Envoy's words: one Route for each match of each rule."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from composemesh.xds.resources.filters import CORS, FAULT, cors, fault
from composemesh.xds.resources.hashes import hash_policy
from composemesh.xds.resources.headers import authority, operations
from composemesh.xds.resources.match import route_match
from composemesh.xds.resources.paths import redirect, rewrite
from composemesh.xds.resources.retries import GRPC_CODES, retry_policy
from composemesh.xds.resources.units import fraction, seconds

if TYPE_CHECKING:
    from composemesh.model.route import HttpRule, WeightedDestination
    from composemesh.routing.resolve import HttpCandidate
    from composemesh.xds.resources.making import Making

Json = dict[str, Any]


def rule_route(making: Making, candidate: HttpCandidate, port: int) -> Json | None:
    """The Route of one match of a rule, for requests that came to `port`; None where this client can't have it."""
    rule, proxyless = candidate.rule, making.node.proxyless
    if proxyless and not _speakable(making, candidate):
        return None
    made: Json = {"name": candidate.name, "match": route_match(candidate.match, proxyless=proxyless)}
    if not proxyless:
        made |= operations(rule.headers)
    filters: Json = {}
    if rule.fault is not None:
        filters[FAULT] = fault(rule.fault)
    if rule.cors is not None and not proxyless:
        filters[CORS] = cors(rule.cors)
    if filters:
        made["typed_per_filter_config"] = filters
    if rule.redirect is not None:
        made["redirect"] = redirect(making, candidate, rule.redirect, port)
    elif rule.direct_response is not None:
        made["direct_response"] = _direct(rule.direct_response.status, rule.direct_response.body)
    elif not any(arm.weight for arm in rule.destinations) and len(rule.destinations) != 1:
        made["direct_response"] = _direct(503, b"")
    else:
        made["route"] = _forward(making, candidate, port)
    return made


def _direct(status: int, body: bytes) -> Json:
    return {"status": status, **({"body": {"inline_bytes": b64encode(body).decode()}} if body else {})}


def _speakable(making: Making, candidate: HttpCandidate) -> bool:
    """Whether gRPC can carry a route out; what it would silently leave out of it is noted."""
    rule, match = candidate.rule, candidate.match
    if match.query_params:
        making.cannot("matches on query parameters", candidate.name, candidate.origin)
        return False
    for what, said in (
        ("rewrites", rule.rewrite),
        ("redirects", rule.redirect),
        ("direct responses", rule.direct_response),
        ("header operations", rule.headers or any(arm.headers for arm in rule.destinations)),
        ("CORS", rule.cors),
        ("mirrors", rule.mirrors),
        ("a timeout for each try", rule.retry is not None and rule.retry.per_try_timeout),
        ("retries on anything but status codes of gRPC", rule.retry is not None and rule.retry.on - GRPC_CODES),
    ):
        if said:
            making.cannot(what, candidate.name, candidate.origin)
    return True


# === forwarding ===


def _forward(making: Making, candidate: HttpCandidate, port: int) -> Json:
    rule, proxyless = candidate.rule, making.node.proxyless
    made: Json = {}
    arms = rule.destinations
    if len(arms) == 1 and not arms[0].headers:
        made["cluster"] = making.lead(arms[0].destination, port)
    else:
        made["weighted_clusters"] = {"clusters": [_arm(making, rule, arm, port) for arm in arms]}
    made |= _time(rule.timeout, proxyless)
    retry = retry_policy(rule.retry, proxyless)
    if retry:
        made["retry_policy"] = retry
    if not proxyless:
        if rule.rewrite is not None:
            made |= rewrite(rule.rewrite, candidate.match.uri)
        named = _authority(rule)
        if named:
            made["host_rewrite_literal"] = named
        if rule.mirrors:
            made["request_mirror_policies"] = [
                {
                    "cluster": making.lead(mirror.destination, port),
                    "runtime_fraction": {"default_value": fraction(mirror.percent)},
                }
                for mirror in rule.mirrors
            ]
    hashes = hash_policy(making, [making.lead(arm.destination, port) for arm in arms])
    if hashes:
        made["hash_policy"] = hashes
    return made


def _arm(making: Making, rule: HttpRule, arm: WeightedDestination, port: int) -> Json:
    weight = arm.weight if len(rule.destinations) > 1 else 1
    made: Json = {"name": making.lead(arm.destination, port), "weight": weight}
    if not making.node.proxyless:
        made |= operations(arm.headers)
        named = authority(arm.headers.request)
        if named and not _authority(rule):
            made["host_rewrite_literal"] = named
    return made


def _authority(rule: HttpRule) -> str:
    return (rule.rewrite.authority if rule.rewrite is not None else "") or authority(rule.headers.request)


def _time(timeout: float | None, proxyless: bool) -> Json:
    """Envoy's own default is 15 s; ours, and Istio's, is no limit. gRPC reads another field (gRFC A31)."""
    if proxyless:
        return {"max_stream_duration": {"max_stream_duration": seconds(timeout)}} if timeout else {}
    return {"timeout": seconds(timeout or 0.0)}
