"""Rewrites and redirects in Envoy's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from composemesh.model.route import MatchKind, PortOfRedirect

if TYPE_CHECKING:
    from composemesh.model.route import Redirect, Rewrite, StringMatch
    from composemesh.routing.resolve import HttpCandidate
    from composemesh.xds.resources.making import Making

Json = dict[str, Any]

REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def rewrite(said: Rewrite, uri: StringMatch | None) -> Json:
    """The fields of a RouteAction."""
    if said.regex:
        return {"regex_rewrite": {"pattern": {"regex": said.regex}, "substitution": said.substitution}}
    return {} if said.uri is None else _replacement(said.uri, uri)


def _replacement(new: str, uri: StringMatch | None) -> Json:
    """`new` in place of the prefix that was matched, or of the whole path where it was no prefix."""
    kind = MatchKind.PREFIX if uri is None else uri.kind
    value = "/" if uri is None else uri.value
    if kind is MatchKind.SEGMENTS:
        stem, new = value.rstrip("/"), new.rstrip("/")
        if new and stem:
            return {"prefix_rewrite": new}
        # Exactly one slash stays between what is put in and what is left.
        return _substituted(f"^{re.escape(stem)}/?", f"{new}/")
    if kind is MatchKind.PRESENT:
        return _substituted("^.*$", new)
    if new:
        return {"prefix_rewrite": new}
    return _substituted(f"^{re.escape(value)}/?" if kind is MatchKind.PREFIX else "^.*$", "/")


def _substituted(pattern: str, text: str) -> Json:
    return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": text.replace("\\", r"\\")}}


def redirect(making: Making, candidate: HttpCandidate, said: Redirect, port: int) -> Json:
    """A RedirectAction, for requests that came to `port`."""
    made: Json = {}
    if said.code not in REDIRECTS:
        making.cannot(f"a redirect with status {said.code}", candidate.name, candidate.origin)
    if said.code in REDIRECTS and said.code != 301:
        made["response_code"] = REDIRECTS[said.code]
    if said.scheme:
        made["scheme_redirect"] = said.scheme.lower()
    if said.authority:
        made["host_redirect"] = said.authority
    if said.port or said.derive_port is PortOfRedirect.REQUEST_PORT:
        made["port_redirect"] = said.port or port
    elif said.derive_port is PortOfRedirect.PROTOCOL_DEFAULT:
        made["port_redirect"] = 443 if said.scheme.lower() == "https" else 80
    if said.prefix is not None:
        made |= _replacement(said.prefix, candidate.match.uri)
    elif said.uri:
        made["path_redirect"] = said.uri
    return made
