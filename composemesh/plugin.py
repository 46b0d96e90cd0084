"""All that a plugin imports. A plugin that imports past this module gets no promise.

A plugin is a module (of an installed distribution, or one file) with two names in it:

    API = 1        # the version of this module that it was written for: a number, so that it stays what it was

    def register(mesh: Registrar) -> None:
        mesh.filter("stamp", Stamp)

A distribution names its module under the entry-point group `composemesh.plugins`; a file is named in `x-mesh`, under
`plugins`. Registering only lets a name stand for a class: what is named in `x-mesh` is then made with its settings,
an instance of its `Config`, a frozen dataclass whose fields are the keys. Plugins are trusted code: they run in the
mesh's process, and may do whatever it may.

What raises is contained: a filter's request is refused, a source or a sink is started again; `composemesh plugins`
names it. What blocks holds up everybody, as in any trio program: wait with trio, and compute little at a time.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Annotated, Any, Protocol, overload

from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.network import PortNumber
from composemesh.config.schema.scalars import HEADER_NAME, HEADER_VALUE, Duration, Number, Text
from composemesh.config.schema.settings import Size, settings
from composemesh.discovery.registry import Source
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.policy import (
    Balance,
    ConnectionLimits,
    DestinationPolicy,
    OutlierDetection,
    Retry,
    TrafficPolicy,
)
from composemesh.model.record import Record
from composemesh.model.route import (
    Destination,
    HttpMatch,
    HttpRule,
    MatchKind,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.setting import setting
from composemesh.model.workload import Attachment, Discovered, Health, State, Workload
from composemesh.proxy.balance.base import Asked, Candidate
from composemesh.proxy.balance.base import Picker as Balancer
from composemesh.proxy.refuse import Reply
from composemesh.telemetry.records import Records
from composemesh.telemetry.sinks.running import Sink

__all__ = [
    "API",
    "Asked",
    "Attachment",
    "Balance",
    "Balancer",
    "Bytes",
    "Candidate",
    "ConnectionLimits",
    "Context",
    "Destination",
    "DestinationPolicy",
    "Discovered",
    "Draft",
    "Exchange",
    "Filter",
    "HeaderName",
    "HeaderValue",
    "Headers",
    "Health",
    "HttpMatch",
    "HttpRule",
    "Kind",
    "MatchKind",
    "OutlierDetection",
    "Peer",
    "PeerKind",
    "Port",
    "Record",
    "Records",
    "Registrar",
    "Reply",
    "Retry",
    "Seconds",
    "Sink",
    "Source",
    "State",
    "StringMatch",
    "Then",
    "TrafficPolicy",
    "VirtualHost",
    "WeightedDestination",
    "Workload",
    "between",
    "matching",
    "setting",
    "settings",
]

API = 1
"""The version of this module. It goes up when something that a plugin may rely on goes away or means something else;
what is added leaves it as it is. A plugin written for another version is left out, and named."""


# === settings: types of a Config's fields besides str, int, float, bool, Path, Literal, tuple[T, ...], Mapping ===

Seconds = Annotated[float, Duration(zero=True)]
"""Written as a duration: `2s`, `100ms`, `1m30s`; `0` for none."""
Bytes = Annotated[int, Size()]
"""Written as a size: `512`, `16k`, `64m`."""
Port = Annotated[int, PortNumber()]
"""A TCP or UDP port."""
HeaderName = Annotated[str, HEADER_NAME]
HeaderValue = Annotated[str, HEADER_VALUE]


@overload
def between(least: int, most: int) -> Number: ...
@overload
def between(least: float, most: float) -> Number: ...
def between(least: float, most: float) -> Number:
    """For `Annotated[int, between(1, 9)]`: a number from `least` to `most`, whole where both are `int`."""
    return Number(least, most, whole=isinstance(least, int) and isinstance(most, int))


def matching(pattern: str, wanted: str) -> Text:
    """For `Annotated[str, matching("[a-z]+", "lowercase letters")]`: text that an expression matches as a whole.

    `wanted` is how a Problem names it: "`tag` is "A1", and must be lowercase letters."
    """
    return Text(re.compile(pattern), wanted, empty=re.fullmatch(pattern, "") is not None)


# === filters ===


class Headers(Protocol):
    """The header fields of a request or of an answer, in order. Names are compared without case.

    Values are Latin-1, as they came. What frames or routes a message (`host`, `content-length`, `connection`,
    `transfer-encoding`, `upgrade`, …) can be read and not be changed: the mesh writes it.
    """

    def get(self, name: str, default: str = "") -> str:
        """The value; several lines of one name are joined with `, `, for which `set-cookie` must be read by `all`."""
        ...

    def all(self, name: str) -> list[str]:
        """The value of each line of that name."""
        ...

    def set(self, name: str, value: str) -> None:
        """One line of that name, in place of all there are. Raises ValueError for what can't be sent."""
        ...

    def add(self, name: str, value: str) -> None:
        """One more line. Raises ValueError for what can't be sent."""
        ...

    def remove(self, name: str) -> None:
        """No line of that name, whether or not there was one. Raises ValueError for what may not be changed."""
        ...

    def __contains__(self, name: object) -> bool: ...

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Names in lowercase, and values, line by line."""
        ...


class Exchange(Protocol):
    """One request and its answer, as filters see them."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str:
        """Path and query, as the caller wrote them; `*` and CONNECT's empty path as they are. Can be set."""
        ...

    @path.setter
    def path(self, path: str) -> None: ...

    @property
    def authority(self) -> str:
        """Whom the request is for: `:authority`, or `Host`."""
        ...

    @property
    def headers(self) -> Headers:
        """Of the request. Changes after `on_request`, or after `then()` was called, are of no effect."""
        ...

    @property
    def source(self) -> Peer:
        """Who calls."""
        ...

    @property
    def destination(self) -> Peer:
        """Who is called: before the answer the service, from then on the workload."""
        ...

    @property
    def client(self) -> str:
        """The address of the client that stands at the other end of the connection."""
        ...

    @property
    def http_version(self) -> int:
        """That the caller speaks: 10, 11 or 20."""
        ...

    @property
    def is_grpc(self) -> bool: ...

    @property
    def status(self) -> int:
        """Of the answer; 0 until there is one."""
        ...

    @property
    def response_headers(self) -> Headers:
        """Of the answer; empty until there is one. Changes after `on_response` are of no effect."""
        ...

    @property
    def state(self) -> MutableMapping[Any, Any]:
        """For the filter's own notes on this exchange. The instance is a good key: `x.state[self] = …`."""
        ...

    def keep_body(self, who: Filter) -> None:
        """In `on_request` or `on_response`: this body stays as it is, as far as the filter is concerned. Its hook for
        it is not called, and if nobody else's is, what is said of its length stays. Say `x.keep_body(self)`."""
        ...


Then = Callable[[], Awaitable[None]]
"""The rest of the way: returns when the answer has been sent whole. Called once, or not at all. What it raises is the
mesh's own; let it pass."""


class Filter(Protocol):
    """Looks at requests and answers, changes them, or answers itself. It has one duty: to be made of its settings.

    All that follows is optional; a class has the hooks that it needs, and what it has not costs nothing. One instance
    serves all exchanges of the place where `x-mesh` names it, until its settings change.

        def on_request(self, x: Exchange) -> None
            Before the request is routed (a mesh-wide filter), or sent to a service (a filter of that service). May
            change the path and the headers.

        def on_response(self, x: Exchange) -> None
            Before the answer's head goes to the client; also for answers of the mesh's own. May change its headers.

        def on_request_body(self, x: Exchange, data: bytes) -> bytes
        def on_response_body(self, x: Exchange, data: bytes) -> bytes
            For each piece of a body as it arrives, and at its end with `b""`. Returns what goes on in its place,
            which may be nothing, or more. A body whose length is then not known beforehand is sent without
            `content-length`. Not called where there is no body, and for what follows an upgrade. Of gRPC these are
            the framed bytes.

        async def around(self, x: Exchange, then: Then) -> None
            All of it: what comes before `await then()` holds the request back. Whoever returns without having called
            it must have raised Reply.

    The four plain functions must not wait. Each hook may raise Reply, to answer the request itself. Anything else
    that it raises is a failure: with `fail: closed`, which is the default, the request is refused with 500 and the
    flag FF; with `fail: open` it goes on as if the filter were not there. The time that `around` spends outside
    `then()` has a bound, `timeout` (10 s by default), which counts as a failure, too.

    Requests go through the filters in the order written, mesh-wide ones first; answers the other way round.
    """

    def __init__(self, config: Any) -> None:
        """`config`: an instance of the class's `Config`, if it has one, else None. May raise: a ValueError's text
        goes into a Problem."""
        ...


# === registration ===


class Registrar(Protocol):
    """Lets names of the configuration stand for classes. Each name once: who comes first keeps it.

    A class may be given by its import path, `package.module:Class`, and is then imported when it is first needed.
    """

    def filter(self, name: str, what: type | str) -> None:
        """`x-mesh: {filters: [{NAME: …}]}`, for the mesh or for a service: see Filter."""
        ...

    def source(self, name: str, what: type | str) -> None:
        """`x-mesh: {discovery: {NAME: …}}`: see Source. Made of its `Config`."""
        ...

    def sink(self, name: str, what: type | str) -> None:
        """`x-mesh: {sinks: {NAME: …}}`: see Sink. Made of its `Config`."""
        ...

    def balancer(self, name: str, what: type | str) -> None:
        """`x-mesh: {load_balancer: NAME}` of a service: see Balancer. Made of the Balance that applies."""
        ...

    def kind(self, group: str, name: str, what: Kind | str) -> None:
        """Documents of `apiVersion: GROUP/…` and `kind: NAME`: see Kind."""
        ...
