"""Balancers by their names, and what becomes of a request when a plugin's fails."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Never

import pytest

from composemesh.model.policy import Balance, Balancer
from composemesh.proxy.balance import BALANCERS
from composemesh.proxy.balance.base import Asked, CandidateT
from composemesh.proxy.balance.making import Balancers, built_in
from composemesh.testing import Choice, check_balancer

SOME = tuple(Choice(number) for number in range(1, 4))


class Last:
    def __init__(self, settings: Balance) -> None:
        self.settings = settings

    def pick(self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked) -> CandidateT:
        return next(target for target in reversed(targets) if target not in passed_over)


class Stranger(Last):
    def pick(self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked) -> CandidateT:
        return Choice(99)  # type: ignore[return-value]


class Unmade(Last):
    def __init__(self, settings: Balance) -> None:
        raise OSError("no such table")


class Leaving(Last):
    def pick(self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked) -> Never:
        raise SystemExit("enough")


class LeavingAtOnce(Last):
    def __init__(self, settings: Balance) -> None:
        raise SystemExit("not today")


@pytest.fixture
def balancers() -> Balancers:
    catalog = built_in()
    for name, what in (("last", Last), ("stranger", Stranger), ("unmade", Unmade), ("absent", "no_such:Balancer")):
        catalog.add(name, what, "birds 1.0")
    catalog.add("leaving", Leaving, "birds 1.0")
    catalog.add("leaving at once", LeavingAtOnce, "birds 1.0")
    return Balancers(catalog)


@pytest.mark.parametrize("kind", BALANCERS)
def test_our_own_are_made_by_name_and_bare(kind: Balancer) -> None:
    assert type(Balancers().make(Balance(kind))).__name__ != "Guarded"


def test_every_word_of_the_model_has_one() -> None:
    assert set(BALANCERS) == set(Balancer)


def test_a_plugins_balancer_picks(balancers: Balancers) -> None:
    picker = balancers.make(Balance("last"))
    assert picker.pick(SOME, (), Asked()) is SOME[2]
    assert picker.pick(SOME, (SOME[2],), Asked()) is SOME[1]
    assert list(balancers.problems()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("last", "failed once"),  # all are passed over, and it raises StopIteration
        ("stranger", "is none of the targets"),
        ("unmade", "no such table"),
        ("absent", "ModuleNotFoundError"),
        ("leaving", "SystemExit: enough"),
        ("leaving at once", "SystemExit: not today"),
        ("unheard of", "KeyError"),
    ],
)
def test_one_that_fails_is_named_and_another_picks(balancers: Balancers, name: str, words: str) -> None:
    picker = balancers.make(Balance(name))
    passed_over = SOME if name == "last" else ()
    picked = picker.pick(SOME, passed_over, Asked())
    assert picked in SOME or (name == "last" and picked is None)
    (problem,) = balancers.problems()
    assert (problem.code, problem.resource) == ("balancer-failed", f"balancer {name}")
    assert words in problem.message


def test_whatever_a_plugin_does_the_mesh_has_a_sound_balancer(balancers: Balancers) -> None:
    check_balancer(lambda: balancers.make(Balance("stranger")))
