"""Aliases for names that services share, and nothing for everybody else."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import yaml

from composemesh.config.loaders.resolved import Resolved
from composemesh.stack.compose import ComposeProject
from composemesh.stack.configuration import good_configuration, read_configuration
from composemesh.stack.errors import UserError
from composemesh.stack.overlay import overlay, provider_service


def overlaid(text: str) -> dict[str, object]:
    snapshot, problems = trio.run(read_configuration, "shop", Resolved(text))
    assert not problems
    made = overlay(text, snapshot)
    return yaml.safe_load(made)["services"] if made else {}


def test_services_that_share_a_name_answer_to_it_on_every_network_of_theirs() -> None:
    text = """
name: shop
services:
  reviews-v1: {image: x, networks: {default: null}, x-mesh: {service: reviews}}
  reviews-v2: {image: x, networks: {default: {aliases: [two]}, back: null}, x-mesh: {service: reviews}}
  ratings: {image: x, networks: {default: null}, x-mesh: {version: v1}}
"""
    assert overlaid(text) == {
        "reviews-v1": {"networks": {"default": {"aliases": ["reviews"]}}},
        "reviews-v2": {"networks": {"default": {"aliases": ["reviews"]}, "back": {"aliases": ["reviews"]}}},
    }


@pytest.mark.parametrize(
    "service",
    [
        "{image: x, networks: {default: null}}",
        "{image: x, networks: {default: null}, x-mesh: {service: web}}",
        "{image: x, networks: {default: null}, x-mesh: false}",
        "{image: x, network_mode: host, x-mesh: {service: reviews}}",
        "{image: x, network_mode: 'service:other', x-mesh: {service: reviews}}",
        "{image: x, networks: {}, x-mesh: {service: reviews}}",
    ],
)
def test_nothing_is_written_where_nothing_is_needed(service: str) -> None:
    assert overlaid(f"name: shop\nservices:\n  web: {service}\n") == {}


def test_labels_count_in_either_form() -> None:
    aliased = {"networks": {"default": {"aliases": ["reviews"]}}}
    listed = "{'x-mesh.service': reviews}"
    mapped = "{'#extensions': 'map[x-mesh.service:reviews]'}"  # what Compose makes of the mapping form
    for labels in (listed, mapped):
        text = f"name: shop\nservices:\n  web: {{image: x, networks: {{default: null}}, labels: {labels}}}\n"
        assert overlaid(text) == {"web": aliased}, labels


def test_the_service_that_has_compose_start_the_mesh() -> None:
    assert provider_service("services: {mesh: {provider: {type: composemesh}}, web: {image: x}}") == "mesh"
    assert provider_service("services: {ai: {provider: {type: model}}, web: {image: x}}") == ""
    assert provider_service("") == ""


def test_a_wrong_key_stops_before_anything_is_started(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  web:\n    image: x\n    x-mesh:\n      versoin: v1\n      pots: {}\n")
    with pytest.raises(UserError) as caught:
        trio.run(good_configuration, ComposeProject("shop"), Resolved(file.read_text(), (file,)))
    said = str(caught.value)
    assert said.startswith(f"{file}:5: ")
    assert "versoin" in said
    assert "version" in said
    assert "1 more: `composemesh check` lists them" in said
