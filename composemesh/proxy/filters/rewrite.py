"""What the upstream is asked for, instead of what the caller asked: path and authority. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import re2

from composemesh.model.route import MatchKind, StringMatch
from composemesh.proxy.codec.grammar import TARGET
from composemesh.proxy.codec.parts import RequestHead
from composemesh.routing.predicates import compiled

if TYPE_CHECKING:
    from composemesh.model.route import Rewrite

PathRewrite = Callable[[bytes], bytes]
"""Path in, path out; both without their query."""

_UNSAFE = re.compile(rb"[^%b]" % TARGET[1:-1])
_REFERENCE = re.compile(rb"\\([0-9\\])")


def path_rewrite(rewrite: Rewrite, uri: StringMatch | None) -> PathRewrite | None:
    """How a rewrite changes the path that `uri` matched; None where it does not. Raises re2.error: see
    `regex_problem`."""
    if rewrite.regex:
        return _substitution(rewrite.regex, rewrite.substitution)
    return None if rewrite.uri is None else replacement(rewrite.uri, uri)


def replacement(new: str, uri: StringMatch | None) -> PathRewrite:
    """`new` in place of the prefix that was matched; of the whole path where it was no prefix.

    Where nothing was asked of the path, the prefix is `/`, as in Istio. Texts are joined as they stand (`/a` replaced
    by `/` makes `//b` of `/a/b`), but for whole segments, where exactly one slash stays between the two.
    """
    text = new.encode()
    if uri is None:
        return lambda path: text + path.removeprefix(b"/")
    length = len(uri.value.encode())
    if uri.kind is MatchKind.PREFIX:
        return lambda path: text + path[length:]
    if uri.kind is MatchKind.SEGMENTS:
        length, text = len(uri.value.encode().rstrip(b"/")), text.rstrip(b"/")
        return lambda path: text + path[length:]
    return lambda path: text


def _substitution(regex: str, template: str) -> PathRewrite:
    """Every match of `regex`, replaced by `template` with its groups filled in (RE2's GlobalReplace, as Envoy)."""
    pattern = compiled(regex)
    text = template.encode()

    def fill(found: re2.Match) -> bytes:
        def group(reference: re.Match[bytes]) -> bytes:
            said = reference[1]
            if said == b"\\":
                return b"\\"
            number = int(said)
            return (found.group(number) or b"") if number <= pattern.groups else b""

        return _REFERENCE.sub(group, text)

    def rewrite(path: bytes) -> bytes:
        changed: bytes = pattern.sub(fill, path)
        return changed

    return rewrite


def rewritten_target(target: bytes, rewrite: PathRewrite) -> bytes:
    """A whole target, path and query, with its path rewritten.

    Whatever the rewrite makes, the result is a path that can stand in a request line or a Location: what can't is
    percent-encoded, and it begins with a slash.
    """
    path, mark, query = target.partition(b"?")
    path = escaped(rewrite(path))
    return (path if path.startswith(b"/") else b"/" + path) + mark + query


def escaped(text: bytes) -> bytes:
    """Text without what can't stand in a request target."""
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], text)


def rewritten_head(head: RequestHead, path: bytes, authority: bytes) -> RequestHead:
    """The same request for another path or authority; empty for the one it has."""
    fields, values = head.fields, head.values
    if authority:
        # A field is left as the object it is: one that no hop may index is told by its class.
        fields = [(field[0], authority) if field[0].lower() == b"host" else field for field in fields]
        values = {**values, b"host": authority} if b"host" in values else values
    authority, path = authority or head.authority, path or head.path
    return RequestHead(
        head.method,
        path or head.target,
        head.version,
        fields,
        values,
        authority,
        path,
        head.body,
        head.keep_alive,
        head.expect_continue,
        head.upgrade,
    )
