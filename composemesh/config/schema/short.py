"""The short forms of `x-mesh` for what Istio's documents say at length: routes, policies, gateways, hosts outside.

They are tables like Istio's, with two liberties that people take in Compose files: a single thing may stand where a
list of them may, and what looks like a number may be text, because labels and `${VARIABLES}` are text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.config.schema.messages import Field, Message, Repeated, Said, Table, Type, later
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
    Host,
    Number,
    PortNumber,
    PortText,
    Regex,
    Text,
    Words,
)
from composemesh.config.schema.shapes import Finding, Reading, dotted
from composemesh.config.yaml import KeyPath
from composemesh.model.policy import Balancer, H2Upgrade, HashKey
from composemesh.model.route import MatchKind, StringMatch

RETRY_WORDS = (
    *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited"),
    *("retriable-4xx", "refused-stream"),
    *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
)


@dataclass(frozen=True, slots=True)
class Either:
    """A word or a number in the place of a mapping, or the mapping."""

    short: Type
    word: str
    """The field that the short form says."""
    long: Message

    @property
    def wanted(self) -> str:
        return f"{self.short.wanted}, or {self.long.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Said | None:
        if isinstance(value, Mapping):
            return self.long.read(path, value, reading)
        read = self.short.read(path, value, reading)
        return None if read is None else Said(path, {self.word: read})

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.short.schema(), self.long.schema()]}


@dataclass(frozen=True, slots=True)
class Some:
    """One or a list; in a label, separated by commas."""

    item: Type

    @property
    def wanted(self) -> str:
        return f"{self.item.wanted}, or a list of these"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[Any, ...]:
        if isinstance(value, str) and "," in value:
            value = [part.strip() for part in value.split(",")]
        if not isinstance(value, list):
            read = self.item.read(path, value, reading)
            return () if read is None else (read,)
        items = (self.item.read((*path, index), item, reading) for index, item in enumerate(value))
        return tuple(item for item in items if item is not None)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.item.schema(), {"type": "array", "items": self.item.schema()}]}


@dataclass(frozen=True, slots=True)
class Match:
    """A comparison: text alone is `bare`, and `{exact: …}`, `{prefix: …}`, `{regex: …}` say which."""

    bare: MatchKind = MatchKind.EXACT
    prefix: MatchKind = MatchKind.PREFIX
    wanted: str = "text, or one of {exact: …}, {prefix: …} or {regex: …}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> StringMatch | None:
        if value is True:
            return StringMatch(MatchKind.PRESENT)
        if isinstance(value, int | float):
            value = str(value)
        if isinstance(value, str):
            return StringMatch(self.bare, value)
        kinds = {"exact": MatchKind.EXACT, "prefix": self.prefix, "regex": MatchKind.REGEX}
        if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in kinds:
            reading.wrong_type(path, value, self.wanted)
            return None
        ((kind, text),) = value.items()
        type_: Type = Regex() if kind == "regex" else ANY_TEXT
        read = type_.read((*path, kind), text, reading)
        return None if read is None else StringMatch(kinds[kind], read)

    def schema(self) -> dict[str, Any]:
        long = {name: {"type": "string"} for name in ("exact", "prefix", "regex")}
        return {
            "anyOf": [{"type": ["string", "boolean"]}, {"type": "object", "properties": long, "maxProperties": 1}]
        }


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


@dataclass(frozen=True, slots=True)
class Hash:
    """`header:NAME`, `cookie:NAME`, `query:NAME` or `source_ip`."""

    wanted: str = "header:NAME, cookie:NAME, query:NAME or source_ip"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[HashKey, str] | None:
        said = re.fullmatch(r"(header|cookie|query):([-!#$%&'*+.^_`|~0-9a-zA-Z]+)|source_ip", str(value))
        if said is None:
            reading.wrong_value(path, value, self.wanted)
            return None
        return (HashKey(said[1]), said[2]) if said[1] else (HashKey.SOURCE_IP, "")

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_BALANCERS = {
    word.value: word for word in (Balancer.LEAST_REQUEST, Balancer.ROUND_ROBIN, Balancer.RANDOM, Balancer.PASSTHROUGH)
}
LOAD_BALANCER = Either(
    Words(_BALANCERS),
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


@dataclass(frozen=True, slots=True)
class Listen:
    """`HOST:PORT`, or a port alone for all addresses of the host."""

    wanted: str = "HOST:PORT, or a port of all addresses"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[str, int] | None:
        """The IP address to bind, empty for all, and the port."""
        said = _LISTEN.fullmatch(str(value)) if isinstance(value, str | int) else None
        if said is None or int(said["port"]) > 65535:
            reading.wrong_value(path, value, self.wanted, "Write 0.0.0.0:8080.")
            return None
        host = (said["host"] or "").strip("[]")
        return {"localhost": "127.0.0.1", "0.0.0.0": ""}.get(host, host), int(said["port"])

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "integer"]}


_LISTEN = re.compile(r"(?:(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\]|localhost):)?(?P<port>[1-9][0-9]{0,4})")
LISTEN = Listen()
GATEWAY = Either(
    LISTEN,
    "listen",
    Message(
        {
            "listen": Field(LISTEN, "Where clients connect."),
            "tls": Field(TLS, "`auto`: a certificate of the mesh's own authority; or files."),
            "hosts": Field(Some(Host()), "Who is served; all if unsaid."),
            "https_redirect": Field(Flag(), "Send everybody to https."),
            "trusted_proxies": Field(COUNT, "Proxies in front that are believed in what they say of the client."),
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
GATEWAYS = Table(GATEWAY, LABEL)
EXTERNALS = Table(EXTERNAL, LABEL)
ROUTES = Repeated(ROUTE)


# === as keys of x-mesh ===


@dataclass(frozen=True, slots=True)
class Whole:
    """A table's value, as a key of `x-mesh`. Kept as it is under the key's path."""

    type: Type

    @property
    def wanted(self) -> str:
        return self.type.wanted

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if value is None:
            return
        attempt = _attempt(self.type, path, value)
        if attempt.findings and (other := _attempt(self.type, path, _plain(value))).errors < attempt.errors:
            attempt = other
        reading.findings += attempt.findings
        if not attempt.errors:
            reading.said |= attempt.said

    def schema(self) -> dict[str, Any]:
        return self.type.schema()


@dataclass(frozen=True, slots=True)
class Each:
    """A list, whose items are kept one by one: each has its own line."""

    item: Type

    @property
    def wanted(self) -> str:
        return f"a list, each item {self.item.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if value is None:
            return
        if not isinstance(value, list):
            reading.wrong_type(path, value, self.wanted, "Begin each item with `-`.")
            return
        for index, item in enumerate(value):
            Whole(self.item).read((*path, index), item, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema()}


class _Attempt:
    def __init__(self, said: dict[KeyPath, Any], findings: list[Finding]) -> None:
        self.said = said
        self.findings = findings

    @property
    def errors(self) -> int:
        return sum(finding.severity.value == "error" for finding in self.findings)


def _attempt(type_: Type, path: KeyPath, value: Any) -> _Attempt:
    reading = Reading()
    read = type_.read(path, value, reading)
    return _Attempt({} if read is None else {path: read}, reading.findings)


_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def _plain(value: Any) -> Any:
    """Texts that look like numbers or switches, as these."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        if value in ("true", "false"):
            return value == "true"
        if said := _NUMBER.fullmatch(value):
            return float(value) if said[1] else int(value)
        if "," in value and all(_NUMBER.fullmatch(part.strip()) for part in value.split(",")):
            return [_plain(part.strip()) for part in value.split(",")]
    return value


__all__ = [
    "CONNECTIONS",
    "EXPOSE",
    "EXTERNALS",
    "GATEWAYS",
    "LOAD_BALANCER",
    "OUTLIER_DETECTION",
    "RETRIES",
    "ROUTE",
    "Each",
    "Whole",
    "dotted",
]
