"""The JSON Schema that editors get: valid itself, and of one mind with the code that reads."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from composemesh.config.schema import json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def errors(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {image: b}}",
        "services: {a: {x-mesh: false}, b: {x-mesh: {version: v1, ports: {'9080': http}}}, c: }",
        "x-mesh: {capture: netns, gateways: {web: {listen: 0.0.0.0:8080, tls: auto}, plain: 8081}}",
        "services: {a: {x-mesh: {routes: [{match: {headers: {user: jason}}, split: {v1: 90, v2: 10}}], retries: 3}}}",
        "services: {a: {x-mesh: {load_balancer: {hash: source_ip}, outlier_detection: {ejection: 3s}}}}",
    ],
)
def test_what_is_right(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("x-mesh: {captre: netns}", "$['x-mesh']"),
        ("x-mesh: {capture: nets}", "$['x-mesh'].capture"),
        ("services: {a: {x-mesh: {verison: v1}}}", "$.services.a['x-mesh']"),
        ("services: {a: {x-mesh: {routes: {}}}}", "$.services.a['x-mesh']"),
        ("services: {a: {x-mesh: {routes: [{split: {v1: many}}]}}}", "$.services.a['x-mesh']"),
    ],
)
def test_what_is_wrong(text: str, path: str) -> None:
    assert path in errors(text)
