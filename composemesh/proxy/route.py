"""THE SPINE, between its pages. What rules make of one request: resolve, then every action in Envoy's order.

fault → cors → redirect, or an answer of the rule's own, or: rewrite → mirror → forward within the timeout. A request
that meets no rule never comes here, or leaves at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from composemesh.model.flag import Flag
from composemesh.proxy.answer import note_grpc_status
from composemesh.proxy.exchange import Course
from composemesh.proxy.filters.actions import actions_of
from composemesh.proxy.filters.direct import own_answer, own_grpc_answer
from composemesh.proxy.filters.redirect import location
from composemesh.proxy.filters.rewrite import rewritten_head, rewritten_target
from composemesh.proxy.filters.timeout import within
from composemesh.proxy.forward import forward
from composemesh.proxy.headers import without
from composemesh.proxy.refuse import Refused
from composemesh.routing.request import Request
from composemesh.routing.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from composemesh.model.route import HttpMatch, HttpRule
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.exchange import Downstream, Exchange
    from composemesh.proxy.filters.actions import Actions, Arm
    from composemesh.proxy.rules import Rules
    from composemesh.routing.resolve import Decision, HttpCandidate

_ORIGINAL_PATH: Final = frozenset({b"x-envoy-original-path"})


async def route(x: Exchange, down: Downstream, cluster: Cluster, rules: Rules) -> None:
    """Do what the first rule that matches says. Raises as `forward` does, and Refused where no rule matches."""
    candidates = rules.http(x.head.authority, down.port).candidates
    if not candidates and not rules.required:
        await forward(x, down, cluster)
        return
    decision = resolve(candidates, request_of(x, down, rules))
    if decision is None:
        raise Refused(Flag.NO_ROUTE_FOUND, "no rule matches the request")
    actions = actions_of(decision.candidate)
    arm = actions.arm(decision)
    x.course = course = decided(x, down, actions, arm)
    if actions.faults is not None:
        await actions.faults.inject(x)
    if actions.cors is not None and await _cors(x, down, actions, course):
        return
    rule = decision.rule
    if rule.redirect is not None:
        scheme, port = scheme_of(x, down), down.port
        to = location(
            rule.redirect, actions.uri, authority=x.head.authority, path=x.head.path, scheme=scheme, port=port
        )
        await reply(x, down, rule.redirect.code, [(b"location", to)])
    elif rule.direct_response is not None:
        await reply(x, down, rule.direct_response.status, [], rule.direct_response.body)
    else:
        lead(x, down, rules, decision)
        _rewrite(x, down, course, actions, arm)
        await _send(x, down, course, actions, rules)


def direct(x: Exchange, down: Downstream, rules: Rules, candidates: Sequence[HttpCandidate]) -> bool:
    """The same, but for sending it, where every rule is plain and leads somewhere (see `Rules`); false where none
    matches, and then nothing has been done."""
    decision = resolve(candidates, request_of(x, down, rules))
    if decision is None:
        return False
    actions = actions_of(decision.candidate)
    arm = actions.arm(decision)
    x.course = decided(x, down, actions, arm)
    lead(x, down, rules, decision)
    _rewrite(x, down, x.course, actions, arm)
    return True


def decided(x: Exchange, down: Downstream, actions: Actions, arm: Arm) -> Course:
    """Write down which rule was met; what it makes of the request, so far."""
    x.record.route = actions.name
    if actions.asks:
        x.record.headers = actions.noted(x.head.values)
    course = Course(actions.rule)
    if arm.response:
        course.on_response.append(arm.response.on(x, down))
    return course


def lead(x: Exchange, down: Downstream, rules: Rules, decision: Decision[HttpRule, HttpMatch]) -> None:
    """From here on the request is going where the rule leads. Raises Refused where that is nowhere."""
    arm = decision.arm
    led = None if arm is None else rules.destination(arm.destination, down.port)
    if led is None:
        raise Refused(Flag.NO_CLUSTER_FOUND, str(arm.destination if arm else "no weight"))
    x.cluster, x.port = led
    x.record.destination = x.cluster.unreached


async def _send(x: Exchange, down: Downstream, course: Course, actions: Actions, rules: Rules) -> None:
    """The request, as the rule wants it, and its copies."""
    for mirror in actions.mirrors:
        if mirror.hits() and (led := rules.destination(mirror.destination, down.port)) is not None:
            mirror.copy(x, down, *led, actions.name)
    try:
        if course.rule.timeout:
            await within(course.rule.timeout, x, course, down.reactor.alarms, partial(forward, x, down, x.cluster))
        else:
            await forward(x, down, x.cluster)
    finally:
        for mirror in actions.mirrors:
            mirror.forget(course)


def _rewrite(x: Exchange, down: Downstream, course: Course, actions: Actions, arm: Arm) -> None:
    if arm.request:
        course.on_request.append(arm.request.on(x, down))
    head = x.head
    path = b""
    if actions.path is not None and head.path.startswith(b"/"):
        path = rewritten_target(head.path, actions.path)
        original = (b"x-envoy-original-path", head.path)
        course.on_request.append(lambda fields: [*without(fields, _ORIGINAL_PATH), original])
    if path or arm.authority:
        x.head = rewritten_head(head, path, b"" if head.is_connect else arm.authority)


async def _cors(x: Exchange, down: Downstream, actions: Actions, course: Course) -> bool:
    """Whether the request was a preflight, and is answered."""
    policy = actions.cors
    assert policy is not None, "asked only where there is one"
    head = x.head
    allowed = policy.allows(head)
    fields = policy.preflight(head, allowed)
    if fields is not None:
        await reply(x, down, 200, fields)
        return True
    if allowed:
        course.on_response.append(partial(policy.mark, head))
    return False


async def reply(x: Exchange, down: Downstream, status: int, fields: Fields, body: bytes = b"") -> None:
    """Answer in the rule's name."""
    grpc = x.record.protocol == "grpc"
    head, body = own_grpc_answer(status, fields, body) if grpc else own_answer(status, fields, body)
    note_grpc_status(x.record, head.fields)
    x.record.response_code = head.status
    x.record.bytes_sent = len(body)
    fields = head.fields if x.course is None else x.course.respond(head.fields)
    if x.view is not None:
        fields = x.view.answered(head, fields)
    await down.respond(x, head, fields, b"" if x.head.method == b"HEAD" else body, True)


def request_of(x: Exchange, down: Downstream, rules: Rules) -> Request:
    """What rules look at."""
    head = x.head
    return Request(
        head.authority,
        head.method,
        head.path,
        head.values,
        port=down.port,
        scheme=scheme_of(x, down),
        gateway=rules.gateway,
        source_labels=rules.labels,
    )


def scheme_of(x: Exchange, down: Downstream) -> bytes:
    return b"http" if down.edge is None else down.edge.scheme_of(x.head.values)
