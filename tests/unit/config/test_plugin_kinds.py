"""Kinds that plugins bring along: read, placed and applied like our own, and contained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from composemesh.config.kinds import Kinds
from composemesh.config.publish import Publisher
from composemesh.config.resources import compile_resources, load_documents
from composemesh.model.policy import ConnectionLimits, DestinationPolicy, TrafficPolicy
from composemesh.model.workload import Discovered
from composemesh.plugin import Context, Draft, Kind, setting, settings
from composemesh.plugins import Plugins
from composemesh.runtime.latest import Latest
from composemesh.testing import check_kind


@dataclass(frozen=True)
class Budget:
    host: str = setting("Whose.")
    connections: int = setting("At a time.", 10)


def apply(context: Context, said: Budget, draft: Draft) -> None:
    if said.connections > 1000:
        hint = "Write 1000 or less."
        context.refuse(("spec", "connections"), "wrong-value", "`spec.connections` is too large.", hint)
        return
    if said.host == "raise":
        raise RuntimeError("a bug of the plugin")
    policy = TrafficPolicy(connections=ConnectionLimits(max_connections=said.connections))
    draft.policies.append((context, DestinationPolicy(context.host(said.host), policy, origin=context.origin())))


BUDGET = Kind("Budget", "plugins.example.com", settings(Budget), apply, versions=("v1",))
DOCUMENT = """apiVersion: plugins.example.com/v1
kind: Budget
metadata: {name: reviews}
spec:
  host: reviews
  connections: 7
"""


@pytest.fixture
def plugins() -> Plugins:
    made = Plugins()
    made.catalogs.kinds.add("plugins.example.com/Budget", BUDGET, "birds 1.0")
    made.catalogs.kinds.add("plugins.example.com/Absent", "no_such_module:KIND", "birds 1.0")
    made.catalogs.kinds.add("plugins.example.com/Wrong", "string:digits", "birds 1.0")
    return made


def test_every_built_in_kind_comes_through_the_same_door(plugins: Plugins) -> None:
    kinds = Kinds(plugins.catalogs.kinds)
    assert len(kinds) == 28 + 3
    assert kinds["networking.istio.io", "VirtualService"].name == "VirtualService"


def test_it_keeps_the_contract() -> None:
    check_kind(lambda: BUDGET, DOCUMENT)


async def test_it_is_applied_to_the_mesh_and_survives_a_start(plugins: Plugins, tmp_path: Path) -> None:
    def publisher() -> Publisher:
        return Publisher("shop", Latest(Discovered()), None, (), tmp_path / "resources.yaml", plugins)

    first = publisher()
    await first.load()
    resources, problems = load_documents(DOCUMENT, "budget.yaml", kinds=first.kinds)
    assert not problems
    change = await first.change(resources)
    assert change.accepted
    assert first.snapshot.value.policies["reviews"].policy.connections == ConnectionLimits(max_connections=7)
    second = publisher()
    assert await second.load() == change.problems
    assert second.snapshot.value.policies["reviews"].policy == first.snapshot.value.policies["reviews"].policy


@pytest.mark.parametrize(
    ("before", "after", "line", "code", "words"),
    [
        ("connections: 7", "connections: 7000", 6, "wrong-value", "too large"),
        ("connections: 7", "connections: many", 6, "wrong-type", "a whole number"),
        ("connections: 7", "conections: 7", 6, "unknown-field", "Did you mean `connections`?"),
        ("  host: reviews\n", "", 4, "missing-field", "`spec.host` is missing"),
        ("host: reviews", "host: raise", 1, "plugin-broken", "a bug of the plugin"),
        ("/v1", "/v2", 1, "wrong-api-version", "Write plugins.example.com/v1"),
        ("kind: Budget", "kind: Bugdet", 2, "unknown-kind", "Did you mean `Budget`?"),
        ("kind: Budget", "kind: Absent", 2, "plugin-broken", "ModuleNotFoundError"),
        ("kind: Budget", "kind: Wrong", 2, "plugin-broken", "0123456789"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(
    plugins: Plugins, before: str, after: str, line: int, code: str, words: str
) -> None:
    text = DOCUMENT.replace(before, after, 1)
    kinds = Kinds(plugins.catalogs.kinds)
    resources, problems = load_documents(text, "budget.yaml", kinds=kinds)
    compiled = compile_resources(resources, "shop", {"reviews"})
    (problem,) = (*problems, *compiled.problems)
    assert (problem.file, problem.line, problem.code) == ("budget.yaml", line, code)
    assert words in str(problem)
    assert not compiled.policies
    assert sum(each.number for each in kinds.failures()) == (code == "plugin-broken")


def test_without_its_plugin_a_document_is_passed_over_with_a_warning() -> None:
    resources, (problem,) = load_documents(DOCUMENT, "budget.yaml")
    assert resources == ()
    assert (problem.severity, problem.code) == ("warning", "unknown-kind")
    assert "Compose file" in problem.hint
