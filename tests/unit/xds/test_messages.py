"""What bytes mean, and that hostile ones mean nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composemesh.xds import protos
from composemesh.xds.messages import (
    Malformed,
    delta_request,
    delta_response,
    load,
    request,
    request_of_json,
    response,
    response_as_json,
)
from composemesh.xds.resource_types import TYPES, type_of
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, Resource, packed
from composemesh.xds.talk import Push

load()
SAID = {
    "version_info": "7",
    "node": {"id": "one", "cluster": "shop", "user_agent_name": "envoy", "metadata": {"WORKLOAD": "reviews-1"}},
    "resource_names": ["a", "b"],
    "type_url": CLUSTER,
    "response_nonce": "3",
    "error_detail": {"code": 13, "message": "a: no"},
}


def bytes_of(name: str, said: dict[str, Any]) -> bytes:
    return bytes(protos.parse(f"envoy.service.discovery.v3.{name}", said).SerializeToString())


def resources(count: int = 2) -> tuple[Resource, ...]:
    cluster = protos.message("envoy.config.cluster.v3.Cluster")
    return tuple(packed(cluster(name=f"c{number}" + "x" * 200), f"c{number}") for number in range(count))


def test_a_request_in_bytes_and_in_json_says_the_same() -> None:
    heard = request(bytes_of("DiscoveryRequest", SAID))
    assert heard == request_of_json(json.dumps({**SAID, "unknown_field": 1}).encode())
    assert (heard.url, heard.names, heard.version, heard.nonce, heard.error) == (
        CLUSTER,
        ("a", "b"),
        "7",
        "3",
        "a: no",
    )
    assert heard.node is not None
    assert heard.node.metadata["WORKLOAD"] == "reviews-1"


def test_no_error_is_another_thing_than_an_empty_one() -> None:
    assert request(bytes_of("DiscoveryRequest", {})).error is None
    assert request(bytes_of("DiscoveryRequest", {"error_detail": {}})).error == ""


def test_a_delta_request() -> None:
    said = {
        "type_url": ENDPOINT,
        "resource_names_subscribe": ["a"],
        "resource_names_unsubscribe": ["b"],
        "initial_resource_versions": {"a": "1"},
        "response_nonce": "3",
    }
    heard = delta_request(bytes_of("DeltaDiscoveryRequest", said))
    assert (heard.subscribe, heard.unsubscribe, heard.initial) == (("a",), ("b",), {"a": "1"})
    assert (heard.nonce, heard.error, heard.node) == ("3", None, None)


def test_answers_are_what_protobuf_reads() -> None:
    """Their resources are joined as bytes; protobuf must see messages."""
    push = Push(CLUSTER, "v", "n", resources(), ("gone",))
    state = protos.message("envoy.service.discovery.v3.DiscoveryResponse").FromString(response(push))
    assert (state.version_info, state.type_url, state.nonce) == ("v", CLUSTER, "n")
    assert [each.SerializeToString() for each in state.resources] == [each.any_bytes for each in push.resources]
    delta = protos.message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(delta_response(push))
    assert (delta.system_version_info, delta.nonce, list(delta.removed_resources)) == ("v", "n", ["gone"])
    assert [(each.name, each.version) for each in delta.resources] == [
        (each.name, each.version) for each in push.resources
    ]
    assert [each.resource.value for each in delta.resources] == [each.value for each in state.resources]


def test_an_answer_in_json_spells_its_resources_out() -> None:
    said = json.loads(response_as_json(Push(CLUSTER, "v", "n", resources(1)), {}))
    assert said["version_info"] == "v"
    assert said["resources"][0] == {"@type": CLUSTER, "name": "c0" + "x" * 200}


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff\xff\xff\xff\x7f", b"\x12\x05abc", b"PRI * HTTP/2.0\r\n\r\n"])
def test_bytes_that_are_no_message(data: bytes) -> None:
    for read in (request, delta_request):
        with pytest.raises(Malformed):
            read(data)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b'{"resource_names": 5}',
        b'{"node": {"metadata": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}}",
        b"[" * 100_000,
    ],
)
def test_text_that_is_no_request(text: bytes) -> None:
    with pytest.raises(Malformed):
        request_of_json(text)


def test_metadata_as_deep_as_protobuf_takes_it() -> None:
    deep: dict[str, Any] = {}
    for _ in range(90):
        deep = {"a": deep}
    node = protos.message("envoy.service.discovery.v3.DiscoveryRequest")()
    struct = node.node.metadata
    for _ in range(30):
        struct = struct["a"] if "a" in struct else struct.get_or_create_struct("a")
    try:
        heard = request(node.SerializeToString())
    except Malformed:
        return
    assert heard.node is not None


def test_kinds_that_nobody_serves_have_names_that_can_be_shown() -> None:
    assert type_of("type.googleapis.com/envoy.x.v3." + "Y" * 1000).word == "Y" * 40
    assert type_of("").word == ""
    assert [each.word for each in TYPES.values()] == ["cluster", "endpoint", "listener", "route"]
