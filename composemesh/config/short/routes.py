"""`routes`, `timeout` and `retries` → rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from composemesh.config.loaders.said import Said, Settings
from composemesh.config.short.origin import origin_of
from composemesh.model.origin import Origin
from composemesh.model.policy import Retry
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
    Redirect,
    Rewrite,
    StringMatch,
    WeightedDestination,
)


def rules_of(service: str, said: Settings) -> tuple[HttpRule, ...]:
    """The service's rules. What no route speaks of goes as if there were none."""
    written = sorted((path[1], entry) for path, entry in said.items() if path[0] == "routes" and len(path) == 2)
    timeout, retry = said.get(("timeout",)), said.get(("retries",))
    default = HttpRule(
        destinations=(WeightedDestination(Destination(service)),),
        name=service,
        timeout=timeout.value if timeout else None,
        retry=_retry(retry.value) if retry else None,
        origin=origin_of(service, next((entry for entry in (timeout, retry) if entry), None)),
    )
    rules = [_rule(service, index, entry, default) for index, entry in written]
    if (rules and rules[-1].matches) or (not rules and (timeout or retry)):
        rules.append(default)
    return tuple(rules)


def _rule(service: str, index: Any, entry: Said, default: HttpRule) -> HttpRule:
    route, origin = entry.value, origin_of(service, entry)
    answered = "redirect" in route or "respond" in route
    return HttpRule(
        matches=tuple(match for said in route.get("match", ()) for match in _matches(said, origin)),
        destinations=() if answered else _destinations(service, route),
        name=route.get("name", f"{service}-{index}"),
        redirect=_redirect(route.get("redirect")),
        direct_response=_respond(route.get("respond")),
        rewrite=rewrite_of(route.get("rewrite")),
        headers=_headers(route.get("headers")),
        timeout=route.get("timeout", default.timeout),
        retry=_retry(route["retries"]) if "retries" in route else default.retry,
        fault=_fault(route.get("fault")),
        mirrors=tuple(
            Mirror(_target(service, said["to"]), said.get("percent", 100.0)) for said in route.get("mirror", ())
        ),
        origin=origin,
    )


def _matches(said: Mapping[str, Any], origin: Origin) -> Iterator[HttpMatch]:
    """One entry of `match`: several methods or callers are several matches, of which one is enough."""
    for method in said.get("method", (None,)):
        for caller in said.get("from", (None,)):
            yield HttpMatch(
                uri=said.get("path"),
                method=StringMatch(MatchKind.EXACT, method) if method else None,
                authority=said.get("host"),
                headers={name.lower(): match for name, match in said.get("headers", {}).items()},
                without_headers={name.lower(): match for name, match in said.get("not_headers", {}).items()},
                query_params=dict(said.get("query", {})),
                port=said.get("port", 0),
                source_labels={"app": caller} if caller else {},
                origin=origin,
            )


def _destinations(service: str, route: Mapping[str, Any]) -> tuple[WeightedDestination, ...]:
    if "split" in route:
        return tuple(
            WeightedDestination(Destination(service, version), weight) for version, weight in route["split"].items()
        )
    return (WeightedDestination(_target(service, route.get("to", {}))),)


def _target(service: str, said: Mapping[str, Any]) -> Destination:
    return Destination(said.get("service", service), said.get("version", ""), said.get("port", 0))


def _retry(said: Mapping[str, Any]) -> Retry:
    default = Retry()
    statuses = frozenset(said.get("statuses", ()))
    on = frozenset(said["on"]) if "on" in said else frozenset() if statuses else default.on
    return Retry(
        attempts=said.get("attempts", default.attempts),
        per_try_timeout=said.get("per_try_timeout", 0.0),
        on=on | ({"retriable-status-codes"} if statuses else frozenset()),
        statuses=statuses,
        back_off=said.get("back_off", default.back_off),
    )


def _fault(said: Mapping[str, Any] | None) -> Fault | None:
    if said is None:
        return None
    percent = said.get("percent", 100.0)
    return Fault(
        Delay(said["delay"], percent) if "delay" in said else None,
        Abort(percent, said["abort"]) if "abort" in said else None,
    )


def rewrite_of(said: Mapping[str, Any] | None) -> Rewrite | None:
    if said is None:
        return None
    return Rewrite(said.get("path"), said.get("host", ""), said.get("regex", ""), said.get("substitution", ""))


def _redirect(said: Mapping[str, Any] | None) -> Redirect | None:
    if said is None:
        return None
    return Redirect(
        uri=said.get("path"),
        authority=said.get("host", ""),
        scheme=said.get("scheme", ""),
        port=said.get("port", 0),
        code=said.get("status", 301),
    )


def _respond(said: Mapping[str, Any] | None) -> DirectResponse | None:
    return None if said is None else DirectResponse(said.get("status", 200), said.get("body", "").encode())


def _headers(said: Mapping[str, Any] | None) -> Headers:
    said = said or {}
    return Headers(_change(said.get("request", {})), _change(said.get("response", {})))


def _change(said: Mapping[str, Any]) -> HeaderChange:
    def pairs(verb: str) -> tuple[tuple[str, str], ...]:
        return tuple((name.lower(), value) for name, value in said.get(verb, {}).items())

    return HeaderChange(pairs("set"), pairs("add"), tuple(name.lower() for name in said.get("remove", ())))
