"""The conformance suite of balancers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from composemesh.proxy.balance.base import Asked, Picker
from composemesh.testing.broken import Broken, same_object
from composemesh.testing.values import HOSTILE_TEXTS

ENOUGH = 600
"""Picks after which each of three targets must have had its turn; by chance alone one in 10¹⁰⁰ has not."""


class Choice:
    """A target as a balancer sees it, with a load that a test sets."""

    def __init__(self, number: int, active: int = 0) -> None:
        self.name = f"shop-reviews-{number}"
        self.host = f"10.0.0.{number}"
        self.active = active

    def __repr__(self) -> str:
        return f"<Choice {self.host} active={self.active}>"


def check_balancer(make: Callable[[], Picker], *, obstinate: bool = False, microseconds: float = 50.0) -> None:
    """Test that a balancer keeps its contract. `make` makes one; it is called for each step.

    The steps: it picks one of the targets, and None where there are none; never one that is passed over, unless it is
    `obstinate` (one that, like PASSTHROUGH, asks nobody but the one that was meant); it changes nothing of what it is
    given; it takes targets that come and go, and any key; nobody is starved; a pick costs `microseconds` at most.

    Raises Broken, an AssertionError that says what was seen and what to do.
    """
    same_object(make(), make(), "check_balancer")
    _picks_one_of_them(make(), obstinate)
    _passes_over(make(), obstinate)
    _leaves_all_as_it_is(make())
    _takes_any_key(make())
    _starves_nobody(make())
    _is_quick(make(), microseconds)


def _pick(
    balancer: Picker, targets: Sequence[Choice], passed_over: Collection[Choice] = (), asked: Asked | None = None
) -> Choice | None:
    try:
        return balancer.pick(targets, passed_over, asked or Asked(targets[0].host if targets else "", b"key"))
    except Exception as problem:
        raise Broken(
            balancer,
            f"raised {problem!r} for {len(targets)} targets, {len(passed_over)} of them passed over.",
            "Return None where nobody can be picked; targets may be none, one or hundreds.",
        ) from problem


def _picks_one_of_them(balancer: Picker, obstinate: bool) -> None:
    """Also as they come and go: a balancer outlives the targets of one moment."""
    for count in (3, 1, 5, 0, 2, 40, 1):
        targets = tuple(Choice(number) for number in range(1, count + 1))
        for _ in range(2 * count + 1):
            picked = _pick(balancer, targets)
            if picked is None and (obstinate or not targets):
                continue
            if not any(picked is target for target in targets):
                raise Broken(
                    balancer,
                    f"picked {picked!r} of {list(targets)}.",
                    "Return one of `targets`, the very object; what was there at an earlier pick may be gone.",
                )


def _passes_over(balancer: Picker, obstinate: bool) -> None:
    targets = tuple(Choice(number) for number in range(1, 5))
    for out in (targets[:1], targets[1:], targets[:3], targets):
        for passed_over in (list(out), tuple(out)):
            for number in range(20):
                picked = _pick(balancer, targets, passed_over, Asked(targets[number % 4].host, b"%d" % number))
                if picked in passed_over and not obstinate:
                    raise Broken(
                        balancer,
                        f"picked {picked!r}, which was to be passed over.",
                        "`passed_over` has failed this request or is ejected: pick another, or None where all are.",
                    )
                if picked is None and len(out) < len(targets) and not obstinate:
                    raise Broken(
                        balancer,
                        f"picked nobody, though {len(targets) - len(out)} of 4 targets were left.",
                        "Return None only where all targets are passed over: the request fails then.",
                    )


def _leaves_all_as_it_is(balancer: Picker) -> None:
    targets, passed_over = [Choice(number) for number in range(1, 5)], [Choice(9)]
    before, out = list(targets), list(passed_over)
    for _ in range(23):  # a prime: whatever goes round has not come back to where it began
        _pick(balancer, targets, passed_over)
    if targets != before or passed_over != out or any(target.active for target in targets):
        raise Broken(balancer, "changed what it was given.", "Sort or shuffle a copy: the lists are the mesh's own.")


def _takes_any_key(balancer: Picker) -> None:
    targets = tuple(Choice(number) for number in range(1, 4))
    keys = [None, b"", b"\x00", b"\xff" * 100_000, *(text.encode("utf-8", "replace") for text in HOSTILE_TEXTS)]
    for key in keys:
        for address in ("", targets[1].host, "::1", "not an address"):
            _pick(balancer, targets, (), Asked(address, key))


def _starves_nobody(balancer: Picker) -> None:
    targets = tuple(Choice(number) for number in range(1, 4))
    had: set[str] = set()
    for number in range(ENOUGH):
        picked = _pick(balancer, targets, (), Asked(targets[number % 3].host, b"key %d" % number))
        if picked is not None:
            had.add(picked.host)
    if len(had) < len(targets):
        starved = ", ".join(target.host for target in targets if target.host not in had)
        raise Broken(
            balancer,
            f"never picked {starved} in {ENOUGH} requests with as many keys.",
            "Give every target that is as good as the others its share.",
        )


def _is_quick(balancer: Picker, microseconds: float) -> None:
    targets = tuple(Choice(number) for number in range(1, 6))
    asked = Asked(targets[0].host, b"key")
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(1000):
            balancer.pick(targets, (), asked)
        best = min(best, (time.process_time() - began) / 1000)
    if best * 1e6 > microseconds:
        raise Broken(
            balancer,
            f"took {best * 1e6:.0f} µs for a pick, and {microseconds:g} are allowed.",
            "A pick is part of every request: keep what can be kept between two of them.",
        )
