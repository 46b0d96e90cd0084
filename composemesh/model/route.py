"""Where requests go: the rules of a VirtualService or of `x-mesh.routes`, as values. `routing` carries them out."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from composemesh.model.origin import NOWHERE, Origin
from composemesh.model.policy import Retry

MESH = "mesh"
"""The name by which rules mean the sidecars, all of them, among their gateways (Istio's reserved word)."""


# === what a rule asks of a request ===


class MatchKind(enum.StrEnum):
    """How a text is compared. Istio's StringMatch, and the two that Gateway API adds."""

    EXACT = "exact"
    PREFIX = "prefix"
    """A plain text prefix: `/a` matches `/ab`."""
    SEGMENTS = "segments"
    """A prefix of whole path segments: `/a` matches `/a` and `/a/b`, not `/ab` (Gateway API's PathPrefix)."""
    REGEX = "regex"
    """RE2's syntax, of the whole text."""
    PRESENT = "present"
    """Anything at all, also nothing: the field is there."""


@dataclass(frozen=True, slots=True)
class StringMatch:
    """One comparison with a text."""

    kind: MatchKind
    value: str = ""
    ignore_case: bool = False
    """For EXACT and PREFIX (Istio's `ignoreUriCase`)."""

    def __str__(self) -> str:
        return "present" if self.kind is MatchKind.PRESENT else f"{self.kind} {self.value!r}"


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """Conditions on one request: all must hold (HTTPMatchRequest). Without any, every request matches."""

    name: str = ""
    uri: StringMatch | None = None
    """Of the path without its query."""
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = field(default_factory=dict)
    """By lowercase name."""
    without_headers: Mapping[str, StringMatch] = field(default_factory=dict)
    query_params: Mapping[str, StringMatch] = field(default_factory=dict)
    port: int = 0
    """The port that the caller connected to; 0 for any."""
    source_labels: Mapping[str, str] = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    """Instead of those of the whole VirtualService; empty to leave it at those."""
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class ConnectionMatch:
    """Conditions on one connection: all must hold (TLSMatchAttributes, L4MatchAttributes)."""

    sni_hosts: tuple[str, ...] = ()
    """Server names, `*.x` included; empty for a TCP rule."""
    destination_subnets: tuple[str, ...] = ()
    port: int = 0
    source_labels: Mapping[str, str] = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    origin: Origin = NOWHERE


# === what becomes of it ===


UNCHANGEABLE = frozenset(
    (
        *("connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
        *(":authority", ":method", ":path", ":protocol", ":scheme", ":status"),
    )
)
"""Headers that no rule may change: they frame or route the message. (`set` of `host` means the authority.)"""


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """What is done to the headers of one direction, in Envoy's order: remove, set, add. Names are lowercase."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.add or self.remove)


NO_CHANGE = HeaderChange()


@dataclass(frozen=True, slots=True)
class Headers:
    """Header operations of both directions. `set` of `host` on a request rewrites its authority."""

    request: HeaderChange = NO_CHANGE
    response: HeaderChange = NO_CHANGE

    def __bool__(self) -> bool:
        return bool(self.request or self.response)


NO_HEADERS = Headers()


@dataclass(frozen=True, slots=True)
class Destination:
    """A service, or a part of it."""

    host: str
    """The canonical name: a mesh service's own, or a host of a ServiceEntry."""
    subset: str = ""
    """A subset that the service's policy names; empty for all of it."""
    port: int = 0
    """0 for the port that the caller connected to."""

    def __str__(self) -> str:
        subset = f" subset {self.subset}" if self.subset else ""
        return f"{self.host}{f':{self.port}' if self.port else ''}{subset}"


@dataclass(frozen=True, slots=True)
class WeightedDestination:
    """One arm of a split."""

    destination: Destination
    weight: int = 0
    """Relative to the sum of all arms'. A single arm gets everything."""
    headers: Headers = NO_HEADERS


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What the upstream is asked for, instead of what the caller asked (HTTPRewrite)."""

    uri: str | None = None
    """Replaces what a prefix match matched; the whole path after any other match."""
    authority: str = ""
    regex: str = ""
    """RE2; its every match in the path is replaced by `substitution` (`uriRegexRewrite`)."""
    substitution: str = ""
    r"""With `\1` for the first group."""


class PortOfRedirect(enum.StrEnum):
    """Istio's `derivePort`."""

    UNCHANGED = "unchanged"
    PROTOCOL_DEFAULT = "protocol-default"
    REQUEST_PORT = "request-port"


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends the caller elsewhere (HTTPRedirect)."""

    uri: str | None = None
    """The new path, whole."""
    prefix: str | None = None
    """Replaces what a prefix match matched."""
    authority: str = ""
    port: int = 0
    derive_port: PortOfRedirect = PortOfRedirect.UNCHANGED
    scheme: str = ""
    code: int = 301


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """An answer of the mesh's own (HTTPDirectResponse)."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Delay:
    """A fault: the request is held back."""

    seconds: float
    percent: float
    """0 to 100."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A fault: the request is answered with an error, and goes nowhere."""

    percent: float
    http_status: int = 0
    grpc_status: int = -1
    """-1 where `http_status` says it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Faults to inject (HTTPFaultInjection); delay and abort are drawn independently."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of requests, whose answers are thrown away. It never delays or fails the original."""

    destination: Destination
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin requests (CorsPolicy)."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: float | None = None
    """Seconds."""
    allow_credentials: bool | None = None
    forward_unmatched_preflights: bool = True


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One entry of `http[]`: the first rule with a match that holds decides. No match at all matches everything."""

    matches: tuple[HttpMatch, ...] = ()
    destinations: tuple[WeightedDestination, ...] = ()
    name: str = ""
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    headers: Headers = NO_HEADERS
    timeout: float | None = None
    """Seconds for the whole request, retries included; None and 0: no limit (Istio's default)."""
    retry: Retry | None = None
    """None for the mesh's default."""
    fault: Fault | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    origin: Origin = NOWHERE

    @property
    def plain(self) -> bool:
        """Whether all it does is choose a destination, and change fields: nothing is waited for, repeated or
        answered for its sake."""
        return bool(self.destinations) and not (
            self.redirect
            or self.direct_response
            or self.timeout
            or self.retry
            or self.fault
            or self.mirrors
            or self.cors
        )


@dataclass(frozen=True, slots=True)
class ConnectionRule:
    """One entry of `tls[]` or `tcp[]`."""

    matches: tuple[ConnectionMatch, ...]
    destinations: tuple[WeightedDestination, ...]
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """The rules for some hosts (VirtualService), in their order of precedence."""

    hosts: tuple[str, ...]
    """Canonical, lowercase; `*` and `*.x` are patterns."""
    gateways: tuple[str, ...] = (MESH,)
    http: tuple[HttpRule, ...] = ()
    tls: tuple[ConnectionRule, ...] = ()
    tcp: tuple[ConnectionRule, ...] = ()
    origin: Origin = NOWHERE
