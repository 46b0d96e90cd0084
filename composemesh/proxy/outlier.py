"""Endpoints that fail again and again are left out for a while (Istio's outlierDetection). Pure: the clock comes in.

After Envoy's detector, with two differences that callers notice only as better: one detector sees the calls of the
whole project, where each of Istio's sidecars must make its own mistakes, and an endpoint comes back when its time is
up, not with the next sweep after that.

How often an endpoint was ejected is forgotten again, once per `interval` that it has done without (as in Envoy).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import NamedTuple

from composemesh.model.policy import OutlierDetection

LONGEST = 300.0
"""Seconds that no ejection exceeds, unless the base alone does (Envoy's max_ejection_time)."""
GATEWAY_ERRORS = frozenset({502, 503, 504})
UNANSWERED = 503
"""What a failure without an answer counts as, where the two are not told apart."""


class Ejection(NamedTuple):
    """An endpoint has just been ejected."""

    because: str
    seconds: float
    times: int
    """How often by now."""


class _Host:
    """What is held against one endpoint."""

    __slots__ = ("errors_5xx", "gateway_errors", "local_failures", "times", "until")

    def __init__(self) -> None:
        self.errors_5xx = self.gateway_errors = self.local_failures = 0
        """In a row."""
        self.times = 0
        """How often it was ejected, less what has been forgiven by the time of the last ejection."""
        self.until = 0.0
        """When its last ejection is, or was, over."""


class Outliers:
    """The endpoints of one destination. They are named by whatever the caller names them by."""

    def __init__(self, settings: OutlierDetection) -> None:
        self.settings = settings
        self._hosts: dict[Hashable, _Host] = {}
        self._last = 0.0
        """When the last of all ejections is over: in the usual case, none under way, nobody is looked at."""

    def __repr__(self) -> str:
        return f"<Outliers {len(self._hosts)} endpoints under suspicion>"

    def answered(self, host: Hashable, status: int, now: float, total: int) -> Ejection | None:
        """An answer has come; `total` is the number of endpoints there are to choose from."""
        if status < 500:
            self.answered_well(host)
            return None
        known = self._hosts.setdefault(host, _Host())
        if known.until > now:
            return None  # it has its ejection: what still comes in must not count for the next
        known.local_failures = 0
        return self._count(host, known, status, now, total)

    def answered_well(self, host: Hashable) -> None:
        """An answer has come that is held against nobody: what was in a row is so no more."""
        if self._hosts and host in self._hosts:
            known = self._hosts[host]
            known.errors_5xx = known.gateway_errors = known.local_failures = 0

    def failed(self, host: Hashable, now: float, total: int) -> Ejection | None:
        """No answer has come: no connection was made, or it broke, or the time was up."""
        known = self._hosts.setdefault(host, _Host())
        if known.until > now:
            return None
        if not self.settings.split_external_local_origin_errors:
            return self._count(host, known, UNANSWERED, now, total)
        known.local_failures += 1
        most = self.settings.consecutive_local_origin_failures
        if most and known.local_failures >= most:
            return self._eject(host, known, f"{known.local_failures} failures without an answer", now, total)
        return None

    def ejected(self, host: Hashable, now: float) -> bool:
        """Whether the endpoint is to be left out."""
        return self.until(host) > now

    def any_ejected(self, now: float) -> bool:
        """Whether any endpoint is."""
        return self._last > now

    def panics(self, healthy: int, total: int) -> bool:
        """Whether so few are left that ejections are ignored."""
        return healthy * 100 < self.settings.min_health_percent * total

    def until(self, host: Hashable) -> float:
        """When the endpoint's last ejection is, or was, over; 0 without one."""
        known = self._hosts.get(host)
        return 0.0 if known is None else known.until

    def keep(self, hosts: Collection[Hashable]) -> None:
        """Forget all others: they have gone, and nobody comes back."""
        self._hosts = {host: known for host, known in self._hosts.items() if host in hosts}

    def _count(self, host: Hashable, known: _Host, status: int, now: float, total: int) -> Ejection | None:
        settings = self.settings
        known.errors_5xx += 1
        known.gateway_errors = known.gateway_errors + 1 if status in GATEWAY_ERRORS else 0
        if settings.consecutive_gateway_errors and known.gateway_errors >= settings.consecutive_gateway_errors:
            return self._eject(host, known, f"{known.gateway_errors} gateway errors in a row", now, total)
        if settings.consecutive_5xx and known.errors_5xx >= settings.consecutive_5xx:
            return self._eject(host, known, f"{known.errors_5xx} errors in a row", now, total)
        return None

    def _eject(self, host: Hashable, known: _Host, because: str, now: float, total: int) -> Ejection | None:
        under_way = sum(1 for each in self._hosts.values() if each.until > now)
        if under_way and (under_way + 1) * 100 > self.settings.max_ejection_percent * total:
            return None
        base, interval = self.settings.base_ejection_time, self.settings.interval
        forgiven = int((now - known.until) / interval) if interval else known.times
        known.times = max(0, known.times - forgiven) + 1
        seconds = min(base * known.times, max(base, LONGEST))
        known.until = now + seconds
        known.errors_5xx = known.gateway_errors = known.local_failures = 0
        self._last = max(self._last, known.until)
        return Ejection(because, seconds, known.times)
