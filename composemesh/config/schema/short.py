"""The short forms of `x-mesh` for what Istio's documents say at length: routes, policies, gateways, hosts outside.

They are tables like Istio's, in the `forms` that people use in Compose files.
"""

from __future__ import annotations

import re

from composemesh.config.schema.fields import Field, later
from composemesh.config.schema.forms import Either, Hash, Listen, Match, Some
from composemesh.config.schema.messages import Message, Table
from composemesh.config.schema.named import BalancerName
from composemesh.config.schema.network import Host, PortNumber, PortText
from composemesh.config.schema.scalars import (
    ANY_TEXT,
    COUNT,
    HEADER_NAME,
    HEADER_VALUE,
    LABEL,
    SHARE,
    SUBSET_NAME,
    Duration,
    Flag,
    Number,
    Regex,
    Text,
    Words,
)
from composemesh.config.schema.settings import Size
from composemesh.model.policy import Balancer, H2Upgrade
from composemesh.model.route import MatchKind

RETRY_WORDS = (
    *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited"),
    *("retriable-4xx", "refused-stream"),
    *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
)


# === routes ===

MATCH = Message(
    {
        "path": Field(Match(MatchKind.SEGMENTS, MatchKind.SEGMENTS), "The path; text alone is a prefix of segments."),
        "method": Field(Some(Text()), "One of these methods."),
        "host": Field(Match(), "The Host header."),
        "headers": Field(Table(Match(), HEADER_NAME), "Headers; `true` asks for presence."),
        "not_headers": Field(Table(Match(), HEADER_NAME), "Headers that must be absent, or other than this."),
        "query": Field(Table(Match()), "Parameters of the query."),
        "port": Field(PortNumber(), "The port that the caller connected to."),
        "from": Field(Some(SUBSET_NAME), "One of these services calls."),
    },
    wanted="a mapping of conditions",
)
TARGET = Either(
    SUBSET_NAME,
    "version",
    Message(
        {
            "service": Field(Host(pattern=False), "Another service, or a host of `external`."),
            "version": Field(SUBSET_NAME, "One version of it."),
            "port": Field(PortNumber(), "Another port."),
        }
    ),
)
RETRIES = Either(
    COUNT,
    "attempts",
    Message(
        {
            "attempts": Field(COUNT, "Tries after the first."),
            "on": Field(Some(Words({word: word for word in RETRY_WORDS})), "What is tried again; Envoy's words."),
            "statuses": Field(Some(Number(400, 599)), "Statuses that are tried again."),
            "per_try_timeout": Field(Duration(), "For each try."),
            "back_off": Field(Duration(), "Before the first retry, at most; doubles."),
        }
    ),
)
FAULT = Message(
    {
        "delay": Field(Duration(), "Requests are held back."),
        "abort": Field(Number(200, 599), "Requests are answered with this status."),
        "percent": Field(SHARE, "How many of them; all if unsaid."),
    },
    some_of=("delay", "abort"),
)
MIRROR = Message(
    {
        "to": Field(TARGET, "Where copies go."),
        "percent": Field(SHARE, "How many; all if unsaid."),
    },
    some_of=("to",),
)
REWRITE = Message(
    {
        "path": Field(ANY_TEXT, "Replaces the prefix that matched, or the whole path."),
        "host": Field(Text(), "The Host header that the service sees."),
        "regex": Field(Regex(), "What is replaced in the path, once, by `substitution`."),
        "substitution": Field(ANY_TEXT, r"With \1 for the first group."),
    },
    one_of=(("path", "regex"),),
)
REDIRECT = Message(
    {
        "path": Field(ANY_TEXT, "The new path."),
        "host": Field(Text(), "The new host."),
        "scheme": Field(Words({"http": "http", "https": "https"}), "The new scheme."),
        "port": Field(PortNumber(), "The new port."),
        "status": Field(Number(300, 399), "301 if unsaid."),
    }
)
RESPOND = Message(
    {
        "status": Field(Number(200, 599), "The status; 200 if unsaid."),
        "body": Field(ANY_TEXT, "The body."),
    }
)
_CHANGE = Message(
    {
        "set": Field(Table(HEADER_VALUE, HEADER_NAME), "Overwrites."),
        "add": Field(Table(HEADER_VALUE, HEADER_NAME), "Appends."),
        "remove": Field(Some(HEADER_NAME), "Takes away."),
    }
)
HEADERS = Message({"request": Field(_CHANGE, "On the way there."), "response": Field(_CHANGE, "On the way back.")})
ROUTE = Message(
    {
        "name": Field(Text(), "For records and `explain`."),
        "match": Field(Some(MATCH), "Which requests; one entry of a list is enough. All if unsaid."),
        "to": Field(TARGET, "A version, or another service."),
        "split": Field(Table(COUNT, SUBSET_NAME), "Versions and their shares."),
        "timeout": Field(Duration(zero=True), "For the whole request, retries included."),
        "retries": Field(RETRIES, "When a request is tried again."),
        "fault": Field(FAULT, "What goes wrong on purpose."),
        "mirror": Field(Some(MIRROR), "Copies of requests; their answers are thrown away."),
        "rewrite": Field(REWRITE, "What the service is asked for instead."),
        "headers": Field(HEADERS, "What is done to headers."),
        "redirect": Field(REDIRECT, "An answer that sends the caller elsewhere."),
        "respond": Field(RESPOND, "An answer of the mesh's own."),
        "fallback": later(RESPOND, "An answer where the service has none."),
    },
    one_of=(("to", "split", "redirect", "respond"),),
    wanted="a route",
)
EXPOSE = Message(
    {
        "gateway": Field(LABEL, "A gateway of the top level."),
        "path": Field(Match(MatchKind.SEGMENTS, MatchKind.SEGMENTS), "Under this path; everything if unsaid."),
        "host": Field(Host(), "Under this host; any if unsaid."),
        "port": Field(PortNumber(), "The service's port; where it has one port only, that one."),
        "rewrite": Field(REWRITE, "What the service is asked for instead."),
    },
    some_of=("gateway",),
)

# === how a service is called ===


_BALANCERS = {
    word.value: word for word in (Balancer.LEAST_REQUEST, Balancer.ROUND_ROBIN, Balancer.RANDOM, Balancer.PASSTHROUGH)
}
LOAD_BALANCER = Either(
    BalancerName(Words(_BALANCERS)),
    "simple",
    Message(
        {
            "hash": Field(Hash(), "The same key goes to the same endpoint."),
            "cookie_ttl": Field(Duration(zero=True), "Makes the cookie for callers without; 0s: for their session."),
        },
        some_of=("hash",),
    ),
)
CONNECTIONS = Message(
    {
        "max": Field(COUNT, "Connections at a time."),
        "pending": Field(COUNT, "Requests that wait for a connection."),
        "requests": Field(COUNT, "Requests at a time."),
        "retries": Field(COUNT, "Retries at a time."),
        "requests_per_connection": Field(COUNT, "After which a connection is closed."),
        "connect_timeout": Field(Duration(), "For a connection to come about."),
        "idle_timeout": Field(Duration(zero=True), "After which an unused connection is closed."),
        "max_duration": Field(Duration(), "After which a connection is closed."),
        "http2": Field(
            Words({"auto": H2Upgrade.AS_CLIENT, "always": H2Upgrade.ALWAYS, "never": H2Upgrade.NEVER}),
            "What is spoken to the service: as the caller does (`auto`), or always, or never HTTP/2.",
        ),
    }
)
OUTLIER_DETECTION = Message(
    {
        "consecutive_5xx": Field(COUNT, "Failures in a row; 0: never."),
        "consecutive_gateway_errors": Field(COUNT, "502, 503, 504 in a row; 0: never."),
        "ejection": Field(Duration(), "How long, times how often."),
        "interval": Field(Duration(), "Between looks."),
        "max_percent": Field(Number(0, 100), "How many endpoints at most; one always."),
    }
)

# === the mesh ===

TLS = Either(
    Words({"off": "off", "auto": "auto"}),
    "mode",
    Message(
        {
            "certificate": Field(Text(), "File of the certificate."),
            "key": Field(Text(), "File of its key."),
            "ca": Field(Text(), "File of the authorities whose clients are let in; with it every client needs one."),
        },
        some_of=("certificate",),
    ),
)


GATEWAY = Either(
    Listen(),
    "listen",
    Message(
        {
            "listen": Field(Listen(), "Where clients connect."),
            "tls": Field(TLS, "`auto`: a certificate of the mesh's own authority; or files."),
            "hosts": Field(Some(Host()), "Who is served; all if unsaid."),
            "https_redirect": Field(Flag(), "Send everybody to https."),
            "trusted_proxies": Field(COUNT, "Proxies in front that are believed in what they say of the client."),
            "proxy_protocol": Field(Flag(), "A proxy in front says in the PROXY protocol whom it speaks for."),
        },
        some_of=("listen",),
    ),
)
EXTERNAL = Message(
    {
        "hosts": Field(Some(Host()), "Names of the host."),
        "ports": Field(
            Table(Words({word: word for word in ("http", "http2", "grpc", "https", "tls", "tcp")}), PortText()),
            "Ports, and what they speak.",
        ),
        "addresses": Field(Some(Text()), "Where it really is, instead of what its name resolves to."),
    },
    some_of=("hosts",),
)
LISTENERS = Message(
    {
        "connections": Field(COUNT, "Connections at a time; one too many is reset. 0: no limit."),
        "requests": Field(COUNT, "Requests at a time; one too many is answered with 503. 0: no limit."),
        "head": Field(Size("a size from 1k to 1m", 1 << 10, 1 << 20), "Bytes of a request's head."),
        "fields": Field(Number(1, 10_000), "Fields of a request's head."),
        "idle_timeout": Field(Duration(), "How long a connection may wait for its next request."),
        "slow_reader_timeout": Field(Duration(), "How long a client may take nothing of its answer."),
    }
)
_SERVICE_TYPE = Text(
    re.compile(r"_[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?\._tcp"), "a service type of DNS-SD over TCP, like _http._tcp"
)
_INTERFACE = Text(
    re.compile(r"[0-9A-Za-z][-0-9A-Za-z_.]{0,63}"), "the name of an interface, or one of its IPv4 addresses"
)
MDNS = Message(
    {
        "browse": Field(Some(_SERVICE_TYPE), "Service types whose instances are services of the mesh."),
        "interfaces": Field(Some(_INTERFACE), "Where; the interface of the default route if unsaid."),
    }
)
PUBLISH = Either(
    Words({"mdns": "mdns"}),
    "by",
    Message(
        {
            "by": Field(Words({"mdns": "mdns"}), "How it is announced."),
            "type": Field(_SERVICE_TYPE, "What clients look for; _http._tcp if unsaid."),
            "port": Field(PortNumber(), "The service's port; the lowest if unsaid."),
        },
        some_of=("by",),
    ),
)
GATEWAYS = Table(GATEWAY, LABEL)
EXTERNALS = Table(EXTERNAL, LABEL)
