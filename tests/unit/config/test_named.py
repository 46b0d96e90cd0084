"""Names that plugins bring along, as x-mesh says them: sinks with their settings, and balancers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from composemesh.catalog import Catalogs
from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.compose import load_compose
from composemesh.config.loaders.labels import load_labels
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.yaml import parse
from composemesh.model.policy import Balance
from composemesh.model.problem import Problem
from composemesh.model.snapshot import AccessLog, Snapshot
from composemesh.plugin import Seconds, setting
from composemesh.plugins import Plugins
from composemesh.testing import make_workload


class Carrier:
    @dataclass(frozen=True)
    class Config:
        address: str = setting("Where to.")
        interval: Seconds = setting("How often.", 10.0)


class Plain:
    """A sink without settings."""


@pytest.fixture
def catalogs() -> Catalogs:
    made = Plugins().catalogs
    made.sinks.add("carrier", Carrier, "birds 1.0")
    made.sinks.add("plain", Plain, "birds 1.0")
    made.sinks.add("absent", "no_such_module:Sink", "birds 1.0")
    made.balancers.add("nearest", Plain, "birds 1.0")
    return made


def compiled(text: str, catalogs: Catalogs) -> tuple[Snapshot, tuple[Problem, ...]]:
    file = Path("compose.yaml")
    document = load_compose(Resolved(text, (file,)), Sources({file: parse(text, str(file))}), catalogs)
    return compile_mesh("shop", document)


def test_sinks_are_kept_by_name_with_their_settings(catalogs: Catalogs) -> None:
    text = "x-mesh:\n  access_log: json\n  sinks:\n    carrier: {address: coop, interval: 2s}\n    plain:\n"
    snapshot, problems = compiled(text, catalogs)
    assert problems == ()
    assert snapshot.mesh.sinks == {
        "carrier": Carrier.Config("coop", 2.0),
        "plain": None,
        "access_log": AccessLog.JSON,
    }
    assert compiled(text, catalogs)[0] == snapshot, "what is said again is no change"


@pytest.mark.parametrize(
    ("sinks", "line", "code", "words"),
    [
        ("\n    carier: {}", 3, "unknown-name", 'there is no sink "carier". Did you mean `carrier`?'),
        ("\n    access_log: {}", 3, "unknown-name", "there is no sink"),
        ("\n    carrier:\n      address: coop\n      intervall: 2s", 5, "unknown-field", "Did you mean `interval`?"),
        ("\n    carrier:\n      address: coop\n      interval: 2", 5, "wrong-type", "Write 2s."),
        ("\n    carrier: {}", 3, "missing-field", "`sinks.carrier.address` is missing."),
        ("\n    plain: {loud: true}", 3, "wrong-type", "It has no settings."),
        ("\n    absent: {}", 3, "plugin-broken", "ModuleNotFoundError"),
        (" carrier", 2, "wrong-type", "Write {carrier: {}}."),
        (" [carrier]", 2, "wrong-type", "a mapping from the name of a sink"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(catalogs: Catalogs, sinks: str, line: int, code: str, words: str) -> None:
    snapshot, (problem, *others) = compiled(f"x-mesh:\n  sinks:{sinks}\n", catalogs)
    assert (problem.file, problem.line, problem.code) == ("compose.yaml", line, code)
    assert words in str(problem)
    assert others == []
    assert "carrier" not in snapshot.mesh.sinks


def test_an_unknown_name_may_be_a_missing_plugins(catalogs: Catalogs) -> None:
    catalogs.incomplete = True
    text = "x-mesh: {sinks: {statsd: {}}}\nservices: {a: {x-mesh: {load_balancer: fair}}}\n"
    _, problems = compiled(text, catalogs)
    assert [(problem.code, problem.severity.value) for problem in problems] == [("unknown-name", "warning")] * 2


def test_a_plugins_balancer_is_chosen_by_its_name(catalogs: Catalogs) -> None:
    snapshot, problems = compiled("services: {a: {x-mesh: {load_balancer: nearest}}}\n", catalogs)
    assert problems == ()
    assert snapshot.policies["a"].policy.balance == Balance("nearest")


def test_a_label_may_choose_it_too(catalogs: Catalogs) -> None:
    workload = make_workload()
    object.__setattr__(workload, "labels", {"x-mesh.load_balancer": "nearest"})
    labels = load_labels(workload, (), catalogs)
    assert labels is not None
    assert labels.problems == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nearset", "must be least_request, round_robin, random or passthrough"),
        ("consistent_hash", "must be least_request"),
        ("least_requests", "Did you mean `least_request`?"),
    ],
)
def test_a_balancer_that_nobody_has_is_an_error(catalogs: Catalogs, name: str, words: str) -> None:
    _, (problem,) = compiled(f"services:\n  a:\n    x-mesh:\n      load_balancer: {name}\n", catalogs)
    assert (problem.line, problem.severity.value) == (4, "error")
    assert words in str(problem)
