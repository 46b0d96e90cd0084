"""Discovery requests and answers as bytes. The first call loads protobuf, some 50 ms: see `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from composemesh.xds import protos
from composemesh.xds.resources.node import Node
from composemesh.xds.talk import DeltaRequest, Push, Request

_REQUEST = "envoy.service.discovery.v3.DiscoveryRequest"
_DELTA_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DiscoveryResponse"
_DELTA_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"


class Malformed(Exception):
    """What came is no such message."""


def load() -> None:
    """Have everything at hand. Takes its time, so it is called in a thread."""
    from google.protobuf import json_format  # noqa: F401 - for its import alone

    for name in (_REQUEST, _DELTA_REQUEST, _RESPONSE, _DELTA_RESPONSE):
        protos.message(name)


def request(data: bytes) -> Request:
    """Raises Malformed."""
    return _request(_parsed(_REQUEST, data))


def request_of_json(text: bytes) -> Request:
    """The JSON form of a DiscoveryRequest; fields that we don't know are ignored. Raises Malformed."""
    from google.protobuf import json_format

    said = protos.message(_REQUEST)()
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise Malformed("not a JSON object")
        json_format.ParseDict(value, said, ignore_unknown_fields=True, descriptor_pool=protos.pool())
    except (json_format.ParseError, ValueError, RecursionError) as problem:
        raise Malformed(str(problem)) from None
    return _request(said)


def delta_request(data: bytes) -> DeltaRequest:
    """Raises Malformed."""
    said = _parsed(_DELTA_REQUEST, data)
    return DeltaRequest(
        said.type_url,
        tuple(said.resource_names_subscribe),
        tuple(said.resource_names_unsubscribe),
        dict(said.initial_resource_versions),
        said.response_nonce,
        _error(said),
        _node(said),
    )


def response(push: Push) -> bytes:
    """A DiscoveryResponse."""
    made = protos.message(_RESPONSE)(version_info=push.version, type_url=push.url, nonce=push.nonce)
    # Messages may be joined as bytes, and these bytes exist already: 1,000 clusters cost one millisecond, not ten.
    return b"".join((made.SerializeToString(), *(_field(2, each.any_bytes) for each in push.resources)))


def delta_response(push: Push) -> bytes:
    """A DeltaDiscoveryResponse."""
    made = protos.message(_DELTA_RESPONSE)(
        system_version_info=push.version, type_url=push.url, nonce=push.nonce, removed_resources=push.removed
    )
    resources = (
        _field(2, _field(1, each.version.encode()) + _field(2, each.any_bytes) + _field(3, each.name.encode()))
        for each in push.resources
    )
    return b"".join((made.SerializeToString(), *resources))


def response_as_json(push: Push, source: Mapping[str, Any]) -> bytes:
    """A DiscoveryResponse in JSON, its fields named as in Envoy's documentation. Slow: call it in a thread.

    Who polls has no aggregated stream: where a resource says that the next ones come by that, it says `source`.
    """
    said = protos.as_dict(protos.message(_RESPONSE).FromString(response(push)))
    _replace_streams(said, source)
    return json.dumps(said).encode()


def _replace_streams(value: Any, source: Mapping[str, Any]) -> None:
    if isinstance(value, dict):
        if value.pop("ads", None) is not None:
            value |= source
        for each in value.values():
            _replace_streams(each, source)
    elif isinstance(value, list):
        for each in value:
            _replace_streams(each, source)


def _parsed(name: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return protos.message(name).FromString(data)
    except DecodeError as problem:
        raise Malformed(str(problem) or "not a protobuf message") from None


def _request(said: Any) -> Request:
    return Request(
        said.type_url, tuple(said.resource_names), said.version_info, said.response_nonce, _error(said), _node(said)
    )


def _error(said: Any) -> str | None:
    return said.error_detail.message if said.HasField("error_detail") else None


def _node(said: Any) -> Node | None:
    if not said.HasField("node"):
        return None
    node = said.node
    return Node(node.id, node.cluster, node.user_agent_name, protos.as_dict(node.metadata))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field, as the wire has it."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2]) + length + content
