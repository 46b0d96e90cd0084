"""The Compose files are what people write: nothing in them knows of a mesh."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from .conftest import EXAMPLES

PLAIN = ("bookinfo/compose.yaml", "bookinfo/compose.simple.yaml", "helloworld/compose.yaml")


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())["services"]
    return found


@pytest.mark.parametrize("name", PLAIN)
def test_no_word_of_mesh(name: str) -> None:
    assert "x-mesh" not in (EXAMPLES / name).read_text()
    for service in services(name).values():
        assert set(service.get("labels", ())) <= {"version"}  # as Kubernetes has it, and Istio's subsets mean it


@pytest.mark.parametrize("name", PLAIN)
def test_every_script_is_there(name: str) -> None:
    for service in services(name).values():
        assert (EXAMPLES / name).parent.joinpath("src", service["command"][1]).is_file()


def test_versions_of_reviews_share_a_name() -> None:
    versions = {n: s for n, s in services("bookinfo/compose.yaml").items() if n.startswith("reviews")}
    assert versions.keys() == {"reviews-v1", "reviews-v2", "reviews-v3"}
    assert all(service["networks"]["default"]["aliases"] == ["reviews"] for service in versions.values())


@pytest.mark.parametrize("name", ["bookinfo", "helloworld"])
def test_the_mesh_variant_speaks_of_services_that_exist(name: str) -> None:
    assert services(f"{name}/compose.mesh.yaml").keys() <= services(f"{name}/compose.yaml").keys()
