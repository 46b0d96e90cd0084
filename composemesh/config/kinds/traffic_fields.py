"""TrafficPolicy, how a host is called: its fields."""

from __future__ import annotations

from composemesh.config.kinds.common import CLIENT_TLS, PORT_SELECTOR
from composemesh.config.schema.fields import Field, deprecated, later, required
from composemesh.config.schema.messages import ANY, Message, Repeated, Table
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.scalars import (
    ANY_TEXT,
    COUNT,
    HEADER_NAME,
    PERCENT,
    SHARE,
    UINT32,
    UNSIGNED,
    Duration,
    Flag,
    Number,
    Text,
    Words,
    words,
)
from composemesh.model.policy import (
    Balancer,
    H2Upgrade,
)

RING = Number(0, 1 << 23)

_COOKIE = Message(
    {
        "name": required(HEADER_NAME, "The cookie."),
        "path": Field(ANY_TEXT, "Of the cookie that is made."),
        "ttl": Field(Duration(zero=True), "Makes the cookie for callers that have none; 0s: for their session."),
        "attributes": later(
            Repeated(Message({"name": required(Text(), "Name."), "value": Field(ANY_TEXT, "Value.")})),
            "Further attributes of the cookie.",
        ),
    }
)
CONSISTENT_HASH = Message(
    {
        "httpHeaderName": Field(HEADER_NAME, "By a header."),
        "httpCookie": Field(_COOKIE, "By a cookie."),
        "useSourceIp": Field(Flag(), "By the caller's address."),
        "httpQueryParameterName": Field(Text(), "By a parameter of the query."),
        "ringHash": Field(
            Message({"minimumRingSize": Field(RING, "Points on the ring; 1024 if unsaid.")}), "A ring of points."
        ),
        "maglev": later(Message({"tableSize": Field(Number(2, 5000010), "A prime.")}), "A table instead of a ring."),
        "minimumRingSize": deprecated(RING, "Points on the ring.", "Write ringHash: {minimumRingSize: …}."),
    },
    one_of=(
        ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        ("ringHash", "maglev", "minimumRingSize"),
    ),
)
_FAILOVER = Message({"from": Field(Text(), "Region."), "to": Field(Text(), "Region.")})
_LOCALITY = Message(
    {
        "distribute": Field(
            Repeated(Message({"from": Field(Text(), "Locality."), "to": Field(Table(UNSIGNED), "Shares.")})),
            "Shares.",
        ),
        "failover": Field(Repeated(_FAILOVER), "Where to when a region fails."),
        "failoverPriority": Field(Repeated(Text()), "Labels, in order."),
        "enabled": Field(Flag(), "Whether it counts."),
    },
    one_of=(("distribute", "failover"), ("distribute", "failoverPriority")),
)
_ZONE_AWARE = Message(
    {
        "enabled": Field(Flag(), "Whether it counts."),
        "failover": Field(Repeated(_FAILOVER), "Where to when a region fails."),
        "failoverPriority": Field(Repeated(Text()), "Labels, in order."),
        "minClusterSize": Field(UNSIGNED, "Endpoints below which it does not count."),
    }
)
_WARMUP = Message(
    {
        "duration": required(Duration(), "How long a new endpoint gets less."),
        "minimumPercent": Field(SHARE, "How much it gets at least."),
        "aggression": Field(Number(1e-9, UINT32, whole=False), "How fast it gets more."),
    }
)
LOAD_BALANCER = Message(
    {
        "simple": Field(
            Words(
                {
                    "UNSPECIFIED": Balancer.LEAST_REQUEST,
                    "LEAST_REQUEST": Balancer.LEAST_REQUEST,
                    "ROUND_ROBIN": Balancer.ROUND_ROBIN,
                    "RANDOM": Balancer.RANDOM,
                    "PASSTHROUGH": Balancer.PASSTHROUGH,
                },
                deprecated={"LEAST_CONN": "LEAST_REQUEST"},
            ),
            "How an endpoint is picked; LEAST_REQUEST if unsaid.",
        ),
        "consistentHash": Field(CONSISTENT_HASH, "The same key goes to the same endpoint."),
        "localityLbSetting": later(_LOCALITY, "Shares by locality."),
        "zoneAwareLbSetting": later(_ZONE_AWARE, "Endpoints of the caller's zone first."),
        "warmup": later(_WARMUP, "Less for new endpoints."),
        "warmupDurationSecs": later(Duration(), "How long new endpoints get less; today it is warmup.duration."),
    },
    one_of=(
        ("simple", "consistentHash"),
        ("localityLbSetting", "zoneAwareLbSetting"),
        ("warmup", "warmupDurationSecs"),
    ),
)
_TCP = Message(
    {
        "maxConnections": Field(COUNT, "At a time; no limit if unsaid."),
        "connectTimeout": Field(Duration(), "10s if unsaid."),
        "tcpKeepalive": Field(
            Message(
                {
                    "probes": Field(UNSIGNED, "Probes without answer before the connection is given up."),
                    "time": Field(Duration(), "Silence before the first probe."),
                    "interval": Field(Duration(), "Between probes."),
                }
            ),
            "TCP's own probes.",
        ),
        "maxConnectionDuration": Field(Duration(), "After which a connection is closed."),
        "idleTimeout": Field(Duration(zero=True), "1h if unsaid; 0s: never."),
    }
)
_HTTP = Message(
    {
        "http1MaxPendingRequests": Field(COUNT, "Requests that wait for a connection."),
        "http2MaxRequests": Field(COUNT, "Requests at a time."),
        "maxRequestsPerConnection": Field(COUNT, "After which a connection is closed; 1: no keep-alive."),
        "maxRetries": Field(COUNT, "Retries at a time."),
        "idleTimeout": Field(Duration(zero=True), "1h if unsaid."),
        "h2UpgradePolicy": Field(
            Words(
                {
                    "DEFAULT": H2Upgrade.AS_CLIENT,
                    "DO_NOT_UPGRADE": H2Upgrade.NEVER,
                    "UPGRADE": H2Upgrade.ALWAYS,
                }
            ),
            "Whether HTTP/2 is spoken to the service.",
        ),
        "useClientProtocol": Field(Flag(), "Speak what the caller speaks."),
        "maxConcurrentStreams": Field(COUNT, "On one connection of HTTP/2."),
        "http2KeepAlive": later(
            Message(
                {
                    "interval": required(Duration(), "Between pings."),
                    "timeout": required(Duration(), "For the answer."),
                }
            ),
            "Pings of HTTP/2.",
        ),
    }
)
CONNECTION_POOL = Message({"tcp": Field(_TCP, "Of every connection."), "http": Field(_HTTP, "Of HTTP.")}, some_of=ANY)
OUTLIER_DETECTION = Message(
    {
        "consecutive5xxErrors": Field(UNSIGNED, "5 if unsaid; 0: never."),
        "consecutiveGatewayErrors": Field(UNSIGNED, "502, 503 and 504 alone; never if unsaid."),
        "consecutiveLocalOriginFailures": Field(UNSIGNED, "Failures without an answer, where they are told apart."),
        "splitExternalLocalOriginErrors": Field(Flag(), "Whether failures without an answer are told apart."),
        "interval": Field(Duration(), "Between two looks; 10s if unsaid."),
        "baseEjectionTime": Field(Duration(), "Times how often it happened; 30s if unsaid."),
        "maxEjectionPercent": Field(PERCENT, "Of the endpoints; 10 if unsaid."),
        "minHealthPercent": Field(PERCENT, "Below which ejections are ignored."),
        "outlierDetectionHttpErrorCodes": later(
            Repeated(Number(100, 599)), "Statuses that count as errors, besides 5xx."
        ),
        "consecutiveErrors": deprecated(UNSIGNED, "Taken for consecutive5xxErrors.", "Write consecutive5xxErrors."),
    },
    one_of=(("consecutive5xxErrors", "consecutiveErrors"),),
)
_TUNNEL = Message(
    {
        "protocol": Field(words("CONNECT", "POST"), "The method."),
        "targetHost": required(Host(pattern=False), "Where the proxy leads."),
        "targetPort": required(PortNumber(), "Its port."),
    }
)
_LEVEL = {
    "loadBalancer": Field(LOAD_BALANCER, "How an endpoint is picked."),
    "connectionPool": Field(CONNECTION_POOL, "How many connections and requests there may be."),
    "outlierDetection": Field(OUTLIER_DETECTION, "When an endpoint is left out for a while."),
    "tls": later(CLIENT_TLS, "TLS towards the host."),
}
_PORT_LEVEL = Message({"port": required(PORT_SELECTOR, "The port."), **_LEVEL}, some_of=tuple(_LEVEL))
TRAFFIC_POLICY = Message(
    {
        **_LEVEL,
        "portLevelSettings": Field(Repeated(_PORT_LEVEL), "Instead of the others, for one port."),
        "tunnel": later(_TUNNEL, "Through another proxy."),
        "proxyProtocol": Field(
            Message({"version": Field(Words({"V1": 1, "V2": 2}), "V1 if unsaid.")}), "The PROXY protocol's header."
        ),
        "retryBudget": later(
            Message(
                {
                    "percent": Field(SHARE, "Of the requests; 20 if unsaid."),
                    "minRetryConcurrency": Field(UNSIGNED, "At least; 3 if unsaid."),
                    "budgetInterval": Field(Duration(zero=True), "Over which requests are counted."),
                }
            ),
            "Retries as a share of the requests.",
        ),
    },
    one_of=(("tunnel", "proxyProtocol"),),
    some_of=ANY,
)
