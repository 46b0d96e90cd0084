"""The kinds of resources. To add one is a file here, and a line in `KINDS`.

Reading order: `resource` one document · `kind` what a kind is · `common` fields that several have · `http_match`,
`http_fields` → `http_route` and `traffic_fields` → `traffic_policy` the two large messages · a file for each kind ·
`delegation` rules that lead to others · `reference` the tables of the docs.

A kind's tables take milliseconds to build, and most meshes name two kinds or none: each is imported when the first
document of it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from composemesh.config.kinds.kind import Kind

__all__ = ["KINDS", "Entry", "Kinds"]


class Entry(NamedTuple):
    """A kind by its name, before anybody has asked for it."""

    group: str
    """`networking.istio.io`"""
    name: str
    load: Callable[[], Kind]


class Kinds:
    """The kinds that documents may be of. Each is loaded when it is asked for, and iterating loads them all."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Of two entries of one group and name, the first one counts."""
        self._entries: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            self._entries.setdefault((entry.group, entry.name), entry)
        self._loaded: dict[tuple[str, str], Kind] = {}

    def __repr__(self) -> str:
        return f"<Kinds {len(self._loaded)} of {len(self._entries)} loaded>"

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Kind]:
        for group, name in self._entries:
            yield self[group, name]

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __getitem__(self, key: tuple[str, str]) -> Kind:
        """By group and name. Raises KeyError, and what the kind's own module raises."""
        kind = self._loaded.get(key)
        if kind is None:
            kind = self._loaded[key] = self._entries[key].load()
        return kind

    def with_others(self, *others: Entry) -> Kinds:
        """These and others; nobody takes a name that is taken."""
        return Kinds((*self._entries.values(), *others))

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.group for entry in self._entries.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name once, whatever its group."""
        return tuple(dict.fromkeys(entry.name for entry in self._entries.values()))

    def names_in(self, group: str) -> list[str]:
        return [entry.name for entry in self._entries.values() if entry.group == group]

    def called(self, name: str) -> list[Kind]:
        """Those of one name, in any group."""
        return [self[key] for key in self._entries if key[1] == name]


def _in(module: str, group: str, *names: str) -> Iterator[Entry]:
    """The entries of a module of this folder, which has a `KIND`, or `KINDS` where it has several."""
    for name in names:

        def load(name: str = name) -> Kind:
            found = import_module(f"{__name__}.{module}")
            kinds: Iterable[Kind] = getattr(found, "KINDS", None) or (found.KIND,)
            return next(kind for kind in kinds if (kind.group, kind.name) == (group, name))

        yield Entry(group, name, load)


_NETWORKING, _SECURITY = "networking.istio.io", "security.istio.io"
_GATEWAY_API = "gateway.networking.k8s.io"

KINDS = Kinds(
    (
        *_in("virtual_service", _NETWORKING, "VirtualService"),
        *_in("destination_rule", _NETWORKING, "DestinationRule"),
        *_in("service_entry", _NETWORKING, "ServiceEntry"),
        *_in("workload_entry", _NETWORKING, "WorkloadEntry"),
        *_in("workload_group", _NETWORKING, "WorkloadGroup"),
        *_in("sidecar", _NETWORKING, "Sidecar"),
        *_in("gateway", _NETWORKING, "Gateway"),
        *_in("authorization_policy", _SECURITY, "AuthorizationPolicy"),
        *_in("peer_authentication", _SECURITY, "PeerAuthentication"),
        *_in("request_authentication", _SECURITY, "RequestAuthentication"),
        *_in("telemetry", "telemetry.istio.io", "Telemetry"),
        *_in("extensions", _NETWORKING, "EnvoyFilter", "ProxyConfig"),
        *_in("extensions", "extensions.istio.io", "WasmPlugin", "TrafficExtension"),
        *_in("extensions", "rbac.istio.io", "ServiceRole", "ServiceRoleBinding", "ClusterRbacConfig", "RbacConfig"),
        *_in("extensions", _GATEWAY_API, "GatewayClass", "ReferenceGrant", "TCPRoute", "TLSRoute", "UDPRoute"),
        *_in("extensions", _GATEWAY_API, "BackendTLSPolicy"),
        *_in("gateway_api.http_route", _GATEWAY_API, "HTTPRoute"),
        *_in("gateway_api.grpc_route", _GATEWAY_API, "GRPCRoute"),
        *_in("gateway_api.gateway", _GATEWAY_API, "Gateway"),
    )
)
"""Those of Istio and of the Gateway API, in the order of the reference."""
