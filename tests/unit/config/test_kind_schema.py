"""The JSON Schema of each kind against what is read: a sample that loads is valid, a field that is unknown is not."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from composemesh.config.kinds import KINDS
from composemesh.config.kinds.kind import Kind
from unit.config.istio import compiled, errors, files, spec

SAMPLES = ("bookinfo", "config", "helloworld", "httpbin", "tcp-echo", "websockets", "extauthz")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.group} {kind.name}")
def test_a_kind_has_a_schema(kind: Kind) -> None:
    schema = kind.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["apiVersion"]["enum"][-1] == kind.api_version


def test_every_sample_is_valid() -> None:
    found, validators = 0, {(kind.group, kind.name): jsonschema.Draft202012Validator(kind.schema()) for kind in KINDS}
    for folder in SAMPLES:
        for path in files(folder):
            for document in yaml.safe_load_all(path.read_text()):
                key = (document["apiVersion"].partition("/")[0], document["kind"]) if document else None
                if key in validators:
                    validators[key].validate(document)
                    found += 1
    assert found > 60


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("VirtualService", "hosts: [a]\nhttp: [{rout: []}]"),
        ("VirtualService", "hosts: [a]\nhttp: [{timeout: 5}]"),
        ("VirtualService", "hosts: [a]\nhttp: [{match: [{port: 70000}]}]"),
        ("DestinationRule", "subsets: []"),
        ("DestinationRule", "host: a\ntrafficPolicy: {loadBalancer: {simple: SOMETIMES}}"),
        ("ServiceEntry", "hosts: []"),
        ("Gateway", "servers: [{hosts: [a]}]"),
    ],
)
def test_what_is_refused_is_not_valid(kind: str, body: str) -> None:
    text = spec(kind, body)
    assert errors(compiled(text))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), KINDS["networking.istio.io", kind].schema())
