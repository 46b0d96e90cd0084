"""HTTPMatchRequest: what a rule asks of a request, and how Istio compares texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.config.kinds.common import LABELS
from composemesh.config.kinds.kind import Context
from composemesh.config.schema.fields import Field, without_effect
from composemesh.config.schema.messages import ANY, Message, Repeated, Said, Table
from composemesh.config.schema.network import PortNumber
from composemesh.config.schema.reading import Reading, dotted, show
from composemesh.config.schema.scalars import ANY_TEXT, LABEL, MATCH_NAME, Flag, Regex, Text
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import quotable
from composemesh.model.route import HttpMatch, MatchKind, StringMatch


@dataclass(frozen=True, slots=True)
class TextMatch:
    """StringMatch: `{exact: …}`, `{prefix: …}` or `{regex: …}`."""

    empty_prefix: bool = False
    """Whether a prefix may be empty: of a path it may."""
    presence: bool = False
    """Whether `{}` may be said: of a header, that it is there."""
    wanted: str = "one of {exact: …}, {prefix: …} or {regex: …}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> StringMatch | None:
        if self.presence and value in (None, {}):
            return StringMatch(MatchKind.PRESENT)
        if not isinstance(value, Mapping):
            hint = f"Write {{exact: {value}}}." if isinstance(value, str) and len(value) < 60 else ""
            reading.wrong_type(path, value, self.wanted, hint)
            return None
        said = _MESSAGE.read(path, value, reading)
        if said is None:
            return None
        if len(said) != 1:
            if not value:
                reading.refuse(path, "missing-field", f"{dotted(path)} is empty, and must be {self.wanted}.")
            return None
        ((kind, text),) = said.items()
        if kind == "regex":
            if self.presence and text == "*":
                return StringMatch(MatchKind.PRESENT)  # Istio takes it so, though `*` is no expression
            if Regex().read((*path, kind), text, reading) is None:
                return None
        if kind == "prefix" and not text and not self.empty_prefix:
            reading.refuse((*path, kind), "wrong-value", f"{dotted((*path, kind))} is {show(text)}, and matches all.")
            return None
        return StringMatch(MatchKind(kind), text)

    def schema(self) -> dict[str, Any]:
        return _MESSAGE.schema()


_MESSAGE = Message(
    {
        "exact": Field(ANY_TEXT, "The same text."),
        "prefix": Field(ANY_TEXT, "Text that begins so; a plain text prefix, not one of path segments."),
        "regex": Field(ANY_TEXT, "The whole text; RE2's syntax."),
    },
    one_of=(("exact", "prefix", "regex"),),
)

TEXT_MATCH = TextMatch()
HEADER_MATCH = TextMatch(presence=True)

MATCH = Message(
    {
        "name": Field(Text(), "For logs and `explain`."),
        "uri": Field(TextMatch(empty_prefix=True), "The path, without its query."),
        "scheme": Field(TEXT_MATCH, "`http` or `https`."),
        "method": Field(TEXT_MATCH, "The method."),
        "authority": Field(TEXT_MATCH, "The Host header, as the caller wrote it."),
        "headers": Field(Table(HEADER_MATCH, MATCH_NAME), "Headers; `{}` asks for presence."),
        "withoutHeaders": Field(Table(HEADER_MATCH, MATCH_NAME), "Headers that must be absent, or other than this."),
        "queryParams": Field(Table(TextMatch(empty_prefix=True)), "Parameters of the query."),
        "ignoreUriCase": Field(Flag(), "Compare `uri` without regard to case (exact and prefix)."),
        "port": Field(PortNumber(), "The port that the caller connected to."),
        "sourceLabels": Field(LABELS, "Labels of the calling workload."),
        "sourceNamespace": without_effect(LABEL, "The caller's namespace.", "a project is one namespace."),
        "gateways": Field(Repeated(Text()), "Instead of those of the VirtualService."),
        "statPrefix": without_effect(Text(), "A name for metrics.", "metrics are named by service and route."),
    },
    some_of=ANY,
    wanted="a mapping of conditions",
)

_PSEUDO = ("uri", "scheme", "method", "authority")


def matches(context: Context, said: Said) -> tuple[HttpMatch, ...]:
    """All entries of `match` of a rule: one that holds is enough."""
    return tuple(_match(context, match) for match in said.get("match", ()))


def _match(context: Context, said: Said) -> HttpMatch:
    uri = said.get("uri")
    if uri is not None and said.get("ignoreUriCase") and uri.kind is not MatchKind.REGEX:
        uri = StringMatch(uri.kind, uri.value, ignore_case=True)
    return HttpMatch(
        name=said.get("name", ""),
        uri=uri,
        scheme=said.get("scheme"),
        method=said.get("method"),
        authority=said.get("authority"),
        headers=_headers(context, said, "headers"),
        without_headers=_headers(context, said, "withoutHeaders"),
        query_params=dict(said.get("queryParams", {})),
        port=said.get("port", 0),
        source_labels=dict(said.get("sourceLabels", {})),
        gateways=gateway_names(context, said, "gateways"),
        origin=context.origin(said.path),
    )


def _headers(context: Context, said: Said, word: str) -> dict[str, StringMatch]:
    table: Said = said.get(word, Said(said.at(word)))
    kept = {}
    for name, match in table.items():
        path = table.at(name)
        if name in _PSEUDO:
            message = f"{dotted(path)} is ignored."
            context.warn(path, "without-effect", message, f"Write `{name}` beside `{word}`, or `:{name}` in it.")
        elif name.startswith("@request.auth.claims"):
            message = f"{dotted(path)}: claims of tokens are not carried out by this version; the rule never matches."
            context.warn(path, "not-carried-out", message)
            kept[name.lower()] = match
        else:
            kept[name.lower()] = match
    return kept


def gateway_names(context: Context, said: Said, word: str) -> tuple[str, ...]:
    """Gateways by name: `ns/name` and the old `name.ns.svc.cluster.local` are gateways of the project, too."""
    names = []
    for index, written in enumerate(said.get(word, ())):
        namespace, _, name = written.rpartition("/")
        if not namespace and "." in name:
            name, _, rest = name.partition(".")
            message = f"{dotted(said.at(word, index))} is an old form of {quotable(name)}."
            hint = f"Write {rest.partition('.')[0]}/{name}, or {name}."
            context.warn(said.at(word, index), "deprecated-field", message, hint)
        if LABEL.pattern and not LABEL.pattern.fullmatch(name):
            context.refuse(said.at(word, index), "wrong-value", f"{dotted(said.at(word, index))} names no gateway.")
        names.append(name)
    return tuple(dict.fromkeys(names))
