"""One condition of a rule, compiled once and asked of every request. Each can say what it wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import re2

from composemesh.model.route import HttpMatch, MatchKind, StringMatch
from composemesh.routing.request import Request

Test = Callable[[Request], bool]
TextTest = Callable[[bytes], bool]

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # what is wrong with an expression is told to its author, not to standard error
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


class Predicate:
    """A condition. `test` answers, `wants` is how `explain` puts it."""

    __slots__ = ("test", "wants")

    def __init__(self, wants: str, test: Test) -> None:
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


def text_test(match: StringMatch) -> TextTest:
    """The comparison with one text. Raises re2.error where the expression is none: see `regex_problem`."""
    want = match.value.encode()
    if match.kind is MatchKind.PRESENT:
        return lambda text: True
    if match.kind is MatchKind.REGEX:
        pattern = re2.compile(want, _OPTIONS)
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
    named = frozenset(match.gateways or gateways)
    found = [Predicate(f"gateway in {sorted(named)}", lambda request: request.gateway in named)]
    if match.port:
        found.append(Predicate(f"port {match.port}", lambda request: request.port == match.port))
    if match.source_labels:
        found.append(Predicate(f"source labels {_shown(match.source_labels)}", _source(match.source_labels)))
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


def _of(field: str, match: StringMatch, value: Callable[[Request], bytes]) -> Predicate:
    test = text_test(match)
    return Predicate(f"{field} {match}", lambda request: test(value(request)))


def _source(labels: Mapping[str, str]) -> Test:
    wanted = tuple(labels.items())
    return lambda request: all(request.source_labels.get(name) == value for name, value in wanted)


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

    def holds(request: Request) -> bool:
        said = value(request)
        return said is None or not test(said)

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
