"""The tries of one request, where a retry rule or a policy has a say in them: whom to ask, how long, and again?"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import structlog

from composemesh.model.flag import Flag
from composemesh.model.policy import HashKey
from composemesh.proxy.balance.base import Asked
from composemesh.proxy.balance.key import key_of, new_cookie
from composemesh.proxy.refuse import ANSWERS, Again, Broken, Refused, http_of_grpc
from composemesh.proxy.retry import Answered, Unanswered, back_off, may_retry, wants_another

if TYPE_CHECKING:
    from composemesh.model.policy import ConsistentHash, Retry
    from composemesh.proxy.alarm import Alarm
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.codec.parts import Fields, ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream
    from composemesh.proxy.policies import Policy

log = structlog.get_logger()

FIRST_PAUSE = 0.01
"""Seconds before every endpoint is tried a second time, where no rule says how long; doubles. Two rounds stay under
the 50 ms in which a caller is told that nobody is there."""
ATTEMPT_COUNT = b"x-envoy-attempt-count"
NOTHING = Asked()
"""What most balancers want to know of a request."""


class Tries:
    """What has been tried so far, and the clock of the present try."""

    __slots__ = (
        *("_alarm", "_asked", "_cluster", "_cookie", "_limits", "_patience", "_pause", "_policy", "_reactor"),
        *("_retry", "_retrying", "_suspect", "_target", "_tried", "_up", "_x", "rang"),
    )

    def __init__(
        self, x: Exchange, down: Downstream, cluster: Cluster, policy: Policy | None, retry: Retry | None
    ) -> None:
        self._x = x
        self._cluster = cluster
        self._policy = policy
        self._limits = policy.limits if policy is not None else None
        """Those that count this request, whatever is configured while it lasts."""
        self._retry = retry
        self._tried: list[Target] = []
        self._patience = retry.per_try_timeout if retry is not None else 0.0
        self._pause = FIRST_PAUSE
        self._retrying = False
        """Whether a retry is counted for this request."""
        self._cookie = b""
        self._asked = NOTHING if policy is None or not policy.asks else self._ask(down, policy.hash)
        self._target: Target | None = None
        """Who is being asked."""
        self._suspect: Target | None = None
        """Who has the request, and has not answered."""
        self._reactor = down.reactor
        self._up: Upstream | None = None
        self._alarm: Alarm | None = None
        self.rang = False
        """Whether the time of the present try was up before it had an answer."""

    def __repr__(self) -> str:
        return f"<Tries {self._x.record.attempts} so far, {self._retry}, {self._policy!r}>"

    def _ask(self, down: Downstream, how: ConsistentHash | None) -> Asked:
        if how is None:
            return Asked(down.cluster().asked)
        head = self._x.head
        key = key_of(how, head.values, head.target, down.peer_address)
        if key is None and how.key is HashKey.COOKIE and how.cookie_ttl is not None:
            key, self._cookie = new_cookie(how)
        return Asked(down.cluster().asked, key)

    # === before a try ===

    def begin(self) -> Target:
        """Whom to ask next. Raises Refused where there is nobody, or too much under way. Undone by `end`."""
        cluster, policy = self._cluster, self._policy
        passed_over = self._tried if self._retry is None or self._retry.ignore_previous_hosts else ()
        target = cluster.choose(policy, self._x.port, passed_over, self._asked)
        if target is None and self._tried:
            self._tried.clear()
            target = cluster.choose(policy, self._x.port, (), self._asked)
        if target is None:
            if not cluster.targets:
                raise cluster.nobody()
            out = policy is not None and cluster.ejected(policy)
            why = "no endpoint that is not left out" if out else "no endpoint at the address that was asked for"
            raise Refused(Flag.NO_HEALTHY_UPSTREAM, f"{cluster.service} has {why}")
        if self._limits is not None:
            self._limits.begin_request()
        self._target = target
        target.endpoint.active += 1
        self.rang = False
        return target

    def counted(self, fields: Fields) -> Fields:
        """The request's fields, with the number of this try for the upstream (as Istio has its Envoys do)."""
        count = self._x.record.attempts
        if self._retry is None and count == 1:
            return fields
        if ATTEMPT_COUNT in self._x.head.values:  # the caller's own, of how it was reached itself
            fields = [field for field in fields if field[0].lower() != ATTEMPT_COUNT]
        return [*fields, (ATTEMPT_COUNT, b"%d" % count)]

    def connected(self, up: Upstream) -> None:
        """There is a connection for the request. What was waited for before is nobody's slowness."""
        self._suspect = self._target
        self._up = up
        if self._x.whole:
            self.sent()

    def sent(self) -> None:
        """The request is complete: from now on the upstream is what is waited for, for as long as a try may take."""
        if self._patience:
            self._quiet()
            self._alarm = self._reactor.alarms.set(self._patience, self._ring)

    def _ring(self) -> None:
        self.rang = True
        if self._up is not None:
            self._up.abort()

    def _quiet(self) -> None:
        if self._alarm is not None:
            self._alarm.off()
            self._alarm = None

    # === after it ===

    def answered(self, head: ResponseHead, fields: Fields) -> None:
        """An answer has come, and would go to the client with these fields. Raises Again where it should not."""
        if self.rang:
            raise Broken(Flag.UPSTREAM_REQUEST_TIMEOUT, "")  # told in full where all that is broken is
        self._quiet()
        self._suspect = None
        grpc = -1
        if self._x.record.protocol == "grpc":
            grpc = _grpc_status(head)
        else:
            self._note(head.status)
        retry = self._retry
        if retry is not None and retry.attempts and (head.status >= 400 or grpc > 0 or retry.statuses):
            self._weigh(retry, head, grpc)
        if self._cookie:
            fields.append((b"set-cookie", self._cookie))

    def _weigh(self, retry: Retry, head: ResponseHead, grpc: int) -> None:
        rate_limited = b"x-envoy-ratelimited" in head.values
        if not wants_another(retry, Answered(head.status, grpc, rate_limited=rate_limited)):
            return
        hindrance = self._hindrance(retry)
        if hindrance is None:
            if grpc >= 0:
                self._note(http_of_grpc(grpc))
            raise Again
        if hindrance is not Flag.NONE:
            self._x.record.flag = hindrance

    def succeeded(self) -> None:
        """The answer has been passed on to its end. How a call of gRPC ended is known only now."""
        grpc = self._x.record.grpc_status
        if grpc >= 0:
            self._note(http_of_grpc(grpc))

    def timed_out(self) -> None:
        """The time for the whole request is up, and somebody may be to blame."""
        if self._suspect is not None:
            note(self._policy, self._cluster, self._suspect, 0)

    def unanswered(self, broken: Broken) -> float:
        """No answer has come. The seconds until the next try. Raises Refused where there is none."""
        if self.rang:
            broken = Broken(Flag.UPSTREAM_REQUEST_TIMEOUT, f"no answer in {self._patience:g} s")
        self._suspect = None
        self._note(0)
        retry = self._retry
        if retry is None:
            return self._by_default(broken)
        hindrance: Flag | None = broken.flag
        if retry.attempts and wants_another(retry, Unanswered(connected=broken.connected, unsent=broken.unsent)):
            hindrance = self._hindrance(retry)
        if hindrance is None:
            return self.pause()
        if hindrance is Flag.NONE:
            hindrance = broken.flag
        raise Refused(hindrance, broken.detail, ANSWERS[broken.flag][0])

    def pause(self) -> float:
        """The seconds before the next try, by the rule."""
        assert self._retry is not None, "without a rule there is no back-off"
        return back_off(self._retry, self._x.record.attempts, random.random())

    def end(self) -> None:
        """The try is over, whatever became of it."""
        target = self._target
        if target is None:
            return
        self._quiet()
        self._target = self._up = None
        self._tried.append(target)
        target.endpoint.active -= 1
        if self._limits is not None:
            self._limits.end_request()

    def close(self) -> None:
        """The request is over."""
        if self._retrying and self._limits is not None:
            self._limits.end_retry()

    def _hindrance(self, retry: Retry) -> Flag | None:
        """What stands in the way of a try that is wanted: NONE for the body, None for nothing."""
        if not self._x.replayable:
            return Flag.NONE
        if self._x.record.attempts > retry.attempts:
            return Flag.UPSTREAM_RETRY_LIMIT_EXCEEDED
        if self._limits is not None and not self._retrying:
            if not self._limits.begin_retry():
                return Flag.UPSTREAM_OVERFLOW
            self._retrying = True
        return None

    def _by_default(self, broken: Broken) -> float:
        cluster, x = self._cluster, self._x
        tried = self._tried if self._target is None else [*self._tried, self._target]
        other = cluster.choose(self._policy, x.port, tried, self._asked)
        untried = other is not None and other not in tried
        again = may_retry(
            x.head.method,
            attempt=x.record.attempts,
            untried=untried,
            body_replayable=x.replayable,
            connected=broken.connected and not broken.unsent,
        )
        if not again:
            raise Refused(broken.flag, broken.detail)
        if untried:
            return 0.0
        pause, self._pause = self._pause, self._pause * 2
        return pause

    def _note(self, status: int) -> None:
        if self._target is not None:
            note(self._policy, self._cluster, self._target, status)


def note(policy: Policy | None, cluster: Cluster, target: Target, status: int) -> None:
    """Hold what a target has answered against it, or in its favour; 0 where it did not. Each ejection is logged."""
    if policy is None or policy.outliers is None:
        return
    life = target.endpoint.workload.life
    if 0 < status < 500:
        policy.outliers.answered_well(life)
        return
    now, total = time.monotonic(), len(cluster.targets)
    if status:
        ejection = policy.outliers.answered(life, status, now, total)
    else:
        ejection = policy.outliers.failed(life, now, total)
    if ejection is not None:
        log.warning(
            "ejected",
            service=cluster.service,
            workload=target.name,
            because=ejection.because,
            seconds=round(ejection.seconds),
            times=ejection.times,
        )


def _grpc_status(head: ResponseHead) -> int:
    """What the head of an answer that is nothing but a head says; -1 where trailers are to say it."""
    said = head.values.get(b"grpc-status", b"")
    return int(said) if said.isdigit() and len(said) <= 3 else -1
