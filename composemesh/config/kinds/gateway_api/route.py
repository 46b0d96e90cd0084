"""What HTTPRoute and GRPCRoute have in common: parents, names, and rules of which the most specific one decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from composemesh.config.kinds.gateway_api.common import GROUP, PARENT, VERSIONS, precedence, virtual_hosts
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.fields import Field, required
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import Host
from composemesh.config.schema.scalars import HEADER_NAME, Regex, Text, Words
from composemesh.model.route import DirectResponse, HttpRule, MatchKind, StringMatch

NOWHERE_TO_GO = DirectResponse(500)
"""A rule without backends, as Gateway API has it."""
_KINDS = Words({"Exact": MatchKind.EXACT, "RegularExpression": MatchKind.REGEX})
NAMED = Message(
    {
        "type": Field(_KINDS, "Exact if unsaid."),
        "name": required(HEADER_NAME, "Name."),
        "value": required(Text(), "Value."),
    }
)

Rules = Callable[[Context, Said], Iterator[HttpRule]]
"""An entry of `rules` → a rule for each of its matches."""


def route_kind(name: str, rule: Message, rules_of: Rules) -> Kind:
    """A kind of routes, by the fields of one rule and what they mean."""
    spec = Message(
        {
            "parentRefs": Field(Repeated(PARENT), "Where the rules are in force."),
            "hostnames": Field(Repeated(Host()), "Names that callers use; any if unsaid."),
            "rules": Field(Repeated(rule), "The rules."),
        }
    )

    def compile_route(context: Context, said: Said, draft: Draft) -> None:
        rules = [made for entry in said.get("rules", ()) for made in rules_of(context, entry)]
        ordered = tuple(sorted(rules, key=lambda rule: precedence(rule.matches[0]), reverse=True))
        for virtual, there in virtual_hosts(context, said, ordered):
            draft.hosts.append((context, virtual, list(there)))

    return Kind(name, GROUP, spec, compile_route, VERSIONS)


def named(context: Context, said: Said, word: str) -> dict[str, StringMatch]:
    """Matches by name; of several with one name the first counts, as Gateway API has it."""
    found: dict[str, StringMatch] = {}
    for entry in said.get(word, ()):
        match = text_match(context, entry, entry.get("type", MatchKind.EXACT), entry["value"])
        found.setdefault(entry["name"], match)
    return found


def text_match(context: Context, said: Said, kind: MatchKind, value: str) -> StringMatch:
    """A comparison, whose expression is checked where it is one."""
    if kind is MatchKind.REGEX:
        Regex().read(said.at("value"), value, context.reading)
    return StringMatch(kind, value)
