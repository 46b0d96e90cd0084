"""Envoy's messages: `envoy.binpb` beside this file describes them; hatch_build.py takes it out of xds-protos.

The pool is private: xds-protos, googleapis or opentelemetry-proto in the same process may register the same files in
another version. Messages of two pools are different classes, so others exchange bytes with us, or an `Any`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from threading import Lock
from typing import Any

TYPE_URL = "type.googleapis.com/"


_pools: list[Any] = []
_making = Lock()
"""Worlds are made in threads: two pools would be two classes of each message, which do not go together."""


def pool() -> Any:
    """The DescriptorPool of every message here; takes some 20 ms and 10 MB at the first call. Safe in threads."""
    if not _pools:
        with _making:
            if not _pools:
                _pools.append(_read())
    return _pools[0]


def _read() -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool

    found = DescriptorPool()
    for file in FileDescriptorSet.FromString(files(__name__).joinpath("envoy.binpb").read_bytes()).file:
        found.Add(file)  # a file stands behind those that it imports
    return found


@cache
def message(name: str) -> Any:
    """The class of a message by its full name, "envoy.config.cluster.v3.Cluster".

    KeyError: no such message is among the descriptors.
    """
    from google.protobuf.message_factory import GetMessageClass

    found = pool()
    with _making:
        return GetMessageClass(found.FindMessageTypeByName(name))


def parse(name: str, value: dict[str, Any]) -> Any:
    """A message out of its proto3 JSON form, nested "@type" included; for shapes that are rare.

    google.protobuf.json_format.ParseError: a field that the message doesn't have, or a value that doesn't fit.
    """
    from google.protobuf.json_format import ParseDict

    return ParseDict(value, message(name)(), descriptor_pool=pool())


def as_dict(value: Any) -> dict[str, Any]:
    """A message in proto3 JSON, its fields named as in Envoy's documentation."""
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(value, preserving_proto_field_name=True, descriptor_pool=pool())
    return found
