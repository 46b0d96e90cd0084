"""One condition of a rule, compiled once and asked of every request. Each can say what it wanted."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import re2

from composemesh.model.route import ConnectionMatch, HttpMatch, MatchKind, StringMatch
from composemesh.routing.hosts import matches
from composemesh.routing.labels import has
from composemesh.routing.request import Opening, Request

TextTest = Callable[[bytes], bool]

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # what is wrong with an expression is told to its author, not to standard error
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


class Predicate:
    """A condition. `test` answers, `wants` is how `explain` puts it."""

    __slots__ = ("test", "wants")

    def __init__(self, wants: str, test: Callable[[Any], bool]) -> None:
        self.wants = wants
        self.test = test

    def __repr__(self) -> str:
        return f"<Predicate {self.wants}>"


def regex_problem(pattern: str) -> str:
    """Why RE2 refuses an expression; empty where it takes it."""
    try:
        re2.compile(pattern.encode(), _OPTIONS)
    except re2.error as problem:
        reason = problem.args[0]
        return reason.decode() if isinstance(reason, bytes) else str(reason)
    return ""


def compiled(pattern: str) -> Any:
    """An expression, for bytes. Raises re2.error: see `regex_problem`."""
    return re2.compile(pattern.encode(), _OPTIONS)


def text_test(match: StringMatch) -> TextTest:
    """The comparison with one text. Raises re2.error where the expression is none: see `regex_problem`."""
    want = match.value.encode()
    if match.kind is MatchKind.PRESENT:
        return lambda text: True
    if match.kind is MatchKind.REGEX:
        pattern = compiled(match.value)
        return lambda text: pattern.fullmatch(text) is not None
    if match.kind is MatchKind.SEGMENTS:
        whole, inside = want.rstrip(b"/"), want.rstrip(b"/") + b"/"
        return lambda text: text == whole or text.startswith(inside)
    exact = match.kind is MatchKind.EXACT
    if match.ignore_case:
        want = want.lower()
        if exact:
            return lambda text: text.lower() == want
        return lambda text: text.lower().startswith(want)
    if exact:
        return lambda text: text == want
    return lambda text: text.startswith(want)


def predicates(match: HttpMatch, gateways: tuple[str, ...]) -> tuple[Predicate, ...]:
    """All conditions of a match, cheapest first; `gateways` are those of the VirtualService."""
    found = _whence(match, gateways)
    if match.method is not None:
        found.append(_of("method", match.method, lambda request: request.method))
    if match.uri is not None:
        found.append(_of("uri", match.uri, lambda request: request.target.partition(b"?")[0]))
    if match.scheme is not None:
        found.append(_of("scheme", match.scheme, lambda request: request.scheme))
    if match.authority is not None:
        found.append(_of("authority", match.authority, lambda request: request.authority))
    found += [_header(name, want) for name, want in match.headers.items()]
    found += [_no_header(name, want) for name, want in match.without_headers.items()]
    found += [_query(name, want) for name, want in match.query_params.items()]
    return tuple(found)


def connection_predicates(match: ConnectionMatch, gateways: tuple[str, ...]) -> tuple[Predicate, ...]:
    """The same for connections."""
    found = _whence(match, gateways)
    if match.sni_hosts:
        found.append(Predicate(f"server name in {sorted(match.sni_hosts)}", _named(match.sni_hosts)))
    if match.destination_subnets:
        found.append(Predicate(f"destination in {sorted(match.destination_subnets)}", _within(match)))
    return tuple(found)


def _whence(match: HttpMatch | ConnectionMatch, gateways: tuple[str, ...]) -> list[Predicate]:
    """What is asked of whoever calls, and of the port that it calls."""
    named, port, labels = frozenset(match.gateways or gateways), match.port, match.source_labels
    found = [Predicate(f"gateway in {sorted(named)}", lambda asked: asked.gateway in named)]
    if port:
        found.append(Predicate(f"port {port}", lambda asked: asked.port == port))
    if labels:
        found.append(Predicate(f"source labels {_shown(labels)}", lambda asked: has(asked.source_labels, labels)))
    return found


def _named(hosts: tuple[str, ...]) -> Callable[[Opening], bool]:
    patterns = tuple(host.lower() for host in hosts)
    return lambda opening: any(matches(pattern, opening.sni) for pattern in patterns)


def _within(match: ConnectionMatch) -> Callable[[Opening], bool]:
    networks = [ipaddress.ip_network(subnet, strict=False) for subnet in match.destination_subnets]

    def holds(opening: Opening) -> bool:
        try:
            address = ipaddress.ip_address(opening.address)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return holds


def _of(field: str, match: StringMatch, value: Callable[[Request], bytes]) -> Predicate:
    test = text_test(match)
    return Predicate(f"{field} {match}", lambda request: test(value(request)))


def _header_value(name: str) -> Callable[[Request], bytes | None]:
    # Envoy's pseudo headers may be asked for by name, as Istio allows.
    if name == ":method":
        return lambda request: request.method
    if name == ":authority":
        return lambda request: request.authority
    if name == ":path":
        return lambda request: request.target
    if name == ":scheme":
        return lambda request: request.scheme
    key = name.lower().encode()
    return lambda request: request.values.get(key)


def _header(name: str, match: StringMatch) -> Predicate:
    value, test = _header_value(name), text_test(match)

    def holds(request: Request) -> bool:
        said = value(request)
        return said is not None and test(said)

    return Predicate(f"header {name} {match}", holds)


def _no_header(name: str, match: StringMatch) -> Predicate:
    value, test = _header_value(name), text_test(match)
    must_be_absent = match.kind is MatchKind.PRESENT

    def holds(request: Request) -> bool:
        said = value(request)
        if said is None:  # for a pattern, a missing header is an empty one, as Istio has it
            return must_be_absent or not test(b"")
        return not test(said)

    return Predicate(f"no header {name} {match}", holds)


def _query(name: str, match: StringMatch) -> Predicate:
    test = text_test(match)

    def holds(request: Request) -> bool:
        query = request.target.partition(b"?")[2].decode("latin-1")
        for key, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1"):
            if key == name:  # the first of several counts, as for Envoy
                return test(value.encode("latin-1"))
        return False

    return Predicate(f"query parameter {name} {match}", holds)


def _shown(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())
