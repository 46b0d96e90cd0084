"""`check_kind`: built-in kinds pass it, and each way to break the contract is told from the others."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from composemesh.config.kinds import KINDS
from composemesh.config.kinds.kind import Kind
from composemesh.config.schema.fields import Field
from composemesh.config.schema.messages import Message
from composemesh.config.schema.scalars import COUNT, SUBSET_NAME
from composemesh.model.policy import DestinationPolicy
from composemesh.plugin import Context, Draft
from composemesh.testing import Broken, check_kind

SOUND = {
    file.stem: file.read_text() for file in sorted((Path(__file__).parent / "documents").glob("*.yaml"))
}  # by kind, and group where two have one name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.group} {kind.name}")
def test_every_built_in_kind_passes(kind: Kind) -> None:
    of_two = "Gateway API " if kind.group.endswith(".k8s.io") and kind.name == "Gateway" else ""
    sound = SOUND.get(f"{of_two}{kind.name}")
    if sound is None:
        assert kind.compile is None, f"tests/unit/testing/documents has no {kind.name}.yaml"
        sound = f"apiVersion: {kind.api_version}\nkind: {kind.name}\nmetadata: {{name: a}}\nspec: {{}}\n"
    check_kind(lambda: kind, sound)


BUDGET = """
apiVersion: plugins.example.com/v1
kind: RetryBudget
metadata: {name: reviews}
spec: {host: reviews, retries: 3}
"""
SPEC = Message({"host": Field(SUBSET_NAME, "Whose."), "retries": Field(COUNT, "How many.")})


def compile_(context: Context, said: Any, draft: Draft) -> None:
    if said.get("retries", 0) > 100:
        context.refuse(said.at("retries"), "wrong-value", "`spec.retries` is too many.", "Write less.")
        return
    draft.policies.append((context, DestinationPolicy(said.get("host", "reviews"), origin=context.origin())))


WELL = Kind("RetryBudget", "plugins.example.com", SPEC, compile_, versions=("v1",))


def test_a_kind_that_keeps_its_contract_passes() -> None:
    draft = check_kind(lambda: WELL, BUDGET)
    assert [policy.host for _, policy in draft.policies] == ["reviews"]


def raising(context: Context, said: Any, draft: Draft) -> None:
    draft.policies.append((context, DestinationPolicy(said["host"])))


def unplaced(context: Context, said: Any, draft: Draft) -> None:
    if said.get("retries") != 3:
        context.resource = replace(
            context.resource, source=type(context.resource.source)(None), origin=replace(context.origin(), line=0)
        )
        context.refuse((), "wrong-value", "`spec.retries` is not three.")


numbers = itertools.count()


def counting(context: Context, said: Any, draft: Draft) -> None:
    draft.policies.append((context, DestinationPolicy(f"reviews-{next(numbers)}")))


@pytest.mark.parametrize(
    ("kind", "seen", "instead"),
    [
        (replace(WELL, group="networking.istio.io"), "which is another's", "a domain of your own"),
        (replace(WELL, group="mine"), "has the group 'mine'", "a domain of your own"),
        (replace(WELL, name="retry-budget"), "no name of a kind", "CamelCase"),
        (replace(WELL, versions=("1",)), "has the versions", "as Kubernetes does"),
        (replace(WELL, spec=Message({"host": Field(SUBSET_NAME, "")})), "what `spec.host` is for", "a sentence"),
        (replace(WELL, spec=Message({"host": Field(SUBSET_NAME, "Whose.")})), "refuses the sound document", "Mend"),
        (replace(WELL, compile=raising), "KeyError", "context.refuse"),
        (replace(WELL, compile=unplaced), "without a line", "the path of what is wrong"),
        (replace(WELL, compile=counting), "something else of the same document", "neither clock nor chance"),
    ],
)
def test_a_broken_one_is_told_what_to_do(kind: Kind, seen: str, instead: str) -> None:
    with pytest.raises(Broken) as broken:
        check_kind(
            lambda: kind, BUDGET.replace("RetryBudget", kind.name).replace("plugins.example.com/v1", kind.api_version)
        )
    assert seen in str(broken.value)
    assert instead in str(broken.value)


def test_the_sound_text_must_be_one_document() -> None:
    with pytest.raises(Broken, match="holds 0 documents"):
        check_kind(lambda: WELL, "")
