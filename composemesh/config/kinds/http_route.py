"""One entry of `http[]` of a VirtualService, as a rule; what contradicts itself is refused."""

from __future__ import annotations

import re
from typing import Any

from composemesh.config.kinds.common import destination, headers, percent_of
from composemesh.config.kinds.http_fields import MAX_BODY, RETRY_WORDS
from composemesh.config.kinds.http_match import matches
from composemesh.config.kinds.kind import Context, Delegation
from composemesh.config.schema.messages import Said
from composemesh.config.schema.reading import dotted, nearest, show
from composemesh.model.policy import RETRY_ON, Retry
from composemesh.model.route import (
    Abort,
    Cors,
    Delay,
    DirectResponse,
    Fault,
    HttpRule,
    MatchKind,
    Mirror,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
    WeightedDestination,
)


def http_rule(context: Context, said: Said) -> HttpRule | Delegation:
    """One entry of `http[]`; what contradicts itself is refused, in Istio's sense."""
    _check(context, said)
    rule = HttpRule(
        matches=matches(context, said),
        destinations=arms(context, said),
        name=said.get("name", ""),
        redirect=_redirect(context, said),
        direct_response=_direct(context, said.get("directResponse")),
        rewrite=_rewrite(context, said),
        headers=headers(context, said.get("headers")),
        timeout=said.get("timeout"),
        retry=_retry(context, said.get("retries")),
        fault=_fault(context, said.get("fault")),
        mirrors=_mirrors(context, said),
        cors=_cors(context, said.get("corsPolicy")),
        origin=context.origin(said.path),
    )
    if "delegate" in said:
        return Delegation(rule, said["delegate"]["name"], said.at("delegate"))
    return rule


def _check(context: Context, said: Said) -> None:
    """What may not stand side by side (Istio's validateHTTPRouteConflict)."""
    actions = [word for word in ("delegate", "redirect", "directResponse") if word in said]
    if not actions:
        if not said.get("route"):
            message = f"{dotted(said.path)} has no `route`, `redirect` or `directResponse`."
            context.refuse(said.path, "missing-field", message, "Say where its requests go.")
        return
    first, *others = actions
    others += [word for word in ("route",) if said.get(word)]
    if first != "delegate":
        others += [word for word in ("fault", "rewrite") if word in said]
    for word in others:
        message = f"{dotted(said.path)} has `{first}` and `{word}`, and may have only one of them."
        context.refuse(said.at(word), "conflicting-fields", message, "Put one of them into a rule of its own.")


def arms(context: Context, said: Said) -> tuple[WeightedDestination, ...]:
    """The destinations of a `route`, with weights that can be carried out."""
    route: tuple[Said, ...] = said.get("route", ())
    if len(route) > 1 and sum(arm.get("weight", 0) for arm in route) == 0:
        message = f"{dotted(said.at('route'))}: the weights of its destinations add up to 0."
        context.refuse(said.at("route"), "wrong-value", message, "Give each destination a weight.")
    return tuple(
        WeightedDestination(
            destination(context, arm["destination"]), arm.get("weight", 0), headers(context, arm.get("headers"))
        )
        for arm in route
    )


def _redirect(context: Context, rule: Said) -> Redirect | None:
    said = rule.get("redirect")
    if said is None:
        return None
    if "prefixRewrite" in said:
        for match in rule.get("match", ()):
            if "uri" in match and match["uri"].kind is not MatchKind.PREFIX:
                message = f"{dotted(said.at('prefixRewrite'))} needs a `prefix` in every `uri` of the rule's matches."
                context.refuse(said.at("prefixRewrite"), "conflicting-fields", message)
    return Redirect(
        uri=said.get("uri"),
        prefix=said.get("prefixRewrite"),
        authority=said.get("authority", ""),
        port=said.get("port", 0),
        derive_port=said.get("derivePort", PortOfRedirect.UNCHANGED),
        scheme=said.get("scheme", ""),
        code=said.get("redirectCode", 301),
    )


def _direct(context: Context, said: Said | None) -> DirectResponse | None:
    if said is None:
        return None
    body = said.get("body", {})
    content = body.get("string", "").encode() or body.get("bytes", b"")
    if len(content) > MAX_BODY:
        context.refuse(said.at("body"), "wrong-value", f"{dotted(said.at('body'))} has more than 1 MiB.")
    return DirectResponse(said["status"], content)


def _rewrite(context: Context, rule: Said) -> Rewrite | None:
    said = rule.get("rewrite")
    authorities = [said.get("authority", "")] if said else []
    change = rule.get("headers", {}).get("request", {})
    for verb in ("set", "add"):
        authorities += [
            value for name, value in change.get(verb, {}).items() if name.lower() in ("host", ":authority")
        ]
    if len([authority for authority in authorities if authority]) > 1:
        message = f"{dotted(rule.path)} sets the authority more than once."
        context.refuse(rule.at("headers"), "conflicting-fields", message, "Set it in one place.")
    if said is None:
        return None
    regex = said.get("uriRegexRewrite", {})
    return Rewrite(said.get("uri"), said.get("authority", ""), regex.get("match", ""), regex.get("rewrite", ""))


def _retry(context: Context, said: Said | None) -> Retry | None:
    if said is None:
        return None
    attempts = said.get("attempts", 0)
    if attempts == 0 and {"perTryTimeout", "retryOn"} & said.keys():
        message = f"{dotted(said.path)} says how to try again, but with `attempts` at 0 never does."
        context.refuse(said.path, "conflicting-fields", message, "Write attempts: 2, or leave the rest out.")
    on, statuses = set(), set()
    for word in re.split(r"[,\s]+", said.get("retryOn", "").strip(", \t\n")):
        if word in RETRY_WORDS:
            on.add(word)
        elif re.fullmatch(r"[1-5][0-9]{2}", word):
            statuses.add(int(word))
        elif word:
            message = f"{dotted(said.at('retryOn'))}: {show(word)} is no condition to retry on."
            hint = nearest(word, sorted(RETRY_WORDS))
            context.refuse(said.at("retryOn"), "wrong-value", message, hint)
    return Retry(
        attempts=attempts,
        per_try_timeout=said.get("perTryTimeout", 0.0),
        on=frozenset(on) if said.get("retryOn") else RETRY_ON,
        statuses=frozenset(statuses),
        back_off=said.get("backoff", 0.025),
        ignore_previous_hosts=said.get("retryIgnorePreviousHosts", True),
    )


def _fault(context: Context, said: Said | None) -> Fault | None:
    if said is None:
        return None
    delay, abort = said.get("delay"), said.get("abort")
    made = Fault()
    if delay is not None and (percent := _share(context, delay)) is not None:
        if "fixedDelay" not in delay:
            context.refuse(delay.path, "missing-field", f"{dotted(delay.at('fixedDelay'))} is missing.")
        made = Fault(delay=Delay(delay.get("fixedDelay", 0.0), percent))
    if abort is not None and (percent := _share(context, abort)) is not None:
        if not {"httpStatus", "grpcStatus"} & abort.keys():
            message = f"{dotted(abort.path)} has neither `httpStatus` nor `grpcStatus`, and aborts nothing."
            context.warn(abort.path, "without-effect", message, "Write httpStatus: 503.")
        else:
            status = abort.get("httpStatus", 0)
            made = Fault(made.delay, Abort(percent, status, abort.get("grpcStatus", -1)))
    return made if made != Fault() else None


def _share(context: Context, said: Said) -> float | None:
    """Of how many requests; None, with a warning, where that is unsaid: Istio then injects nothing."""
    if "percent" in said:
        return float(said["percent"])
    if "percentage" in said:
        return percent_of(said["percentage"])
    message = f"{dotted(said.path)} has no `percentage`, and is injected into no request."
    context.warn(said.path, "without-effect", message, "Write percentage: {value: 100}.")
    return None


def _mirrors(context: Context, said: Said) -> tuple[Mirror, ...]:
    if "mirror" in said:
        percent = said.get("mirrorPercent")
        share = percent_of(said.get("mirrorPercentage"), 100.0) if percent is None else float(percent)
        return (Mirror(destination(context, said["mirror"]), share),)
    return tuple(
        Mirror(destination(context, mirror["destination"]), percent_of(mirror.get("percentage"), 100.0))
        for mirror in said.get("mirrors", ())
    )


def _cors(context: Context, said: Said | None) -> Cors | None:
    if said is None:
        return None
    age: float | None = said.get("maxAge")
    if age is not None and age != int(age):
        context.refuse(said.at("maxAge"), "wrong-value", f"{dotted(said.at('maxAge'))} must be of whole seconds.")
    exact = tuple(StringMatch(MatchKind.EXACT, origin) for origin in said.get("allowOrigin", ()))
    origins: tuple[Any, ...] = said.get("allowOrigins", ()) or exact
    wildcard = StringMatch(MatchKind.REGEX, ".*")
    return Cors(
        allow_origins=tuple(wildcard if origin == _ANY_ORIGIN else origin for origin in origins),
        allow_methods=said.get("allowMethods", ()),
        allow_headers=said.get("allowHeaders", ()),
        expose_headers=said.get("exposeHeaders", ()),
        max_age=age,
        allow_credentials=said.get("allowCredentials"),
        forward_unmatched_preflights=said.get("unmatchedPreflights", True),
    )


_ANY_ORIGIN = StringMatch(MatchKind.EXACT, "*")
"""What `allowOrigin: ["*"]`, and many a file today, means by it."""
