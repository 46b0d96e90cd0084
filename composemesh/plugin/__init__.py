"""All that a plugin imports. A plugin that imports past this package gets no promise.

A plugin is a module (of an installed distribution, or one file) with two names in it:

    API = 1        # the version of this package that it was written for: a number, so that it stays what it was

    def register(mesh: Registrar) -> None:
        mesh.filter("stamp", Stamp)

A distribution names its module under the entry-point group `composemesh.plugins`; a file is named in `x-mesh`, under
`plugins`. Registering only lets a name stand for a class: what is named in `x-mesh` is then made with its settings,
an instance of its `Config`, a frozen dataclass whose fields are the keys. Plugins are trusted code: they run in the
mesh's process, and may do whatever it may.

What raises is contained: a filter's request is refused, a source or a sink is started again; `composemesh plugins`
names it. What blocks holds up everybody, as in any trio program: wait with trio, and compute little at a time.

What is ours alone stands in `fields`, what a Config is made of, `filters` and `registrar`; all else is a name of the
mesh's own. Where a name comes from may change: plugins import it from here.
"""

from __future__ import annotations

from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.settings import settings
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
from composemesh.plugin.fields import Bytes, HeaderName, HeaderValue, Port, Seconds, between, matching
from composemesh.plugin.filters import Exchange, Filter, Headers, Then
from composemesh.plugin.registrar import Registrar
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
"""The version of this package. It goes up when something that a plugin may rely on goes away or means something else;
what is added leaves it as it is. A plugin written for another version is left out, and named."""
