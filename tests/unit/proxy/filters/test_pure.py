"""The pure parts of the actions, on anything at all: what they make can always be written on a wire."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composemesh.model.route import (
    Cors,
    HeaderChange,
    MatchKind,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
)
from composemesh.proxy.codec.grammar import FIELDS
from composemesh.proxy.codec.h1 import encode_request, encode_response, parse_request
from composemesh.proxy.codec.parts import Fields
from composemesh.proxy.filters.changes import Change, authority_of
from composemesh.proxy.filters.cors import CorsPolicy
from composemesh.proxy.filters.direct import own_answer
from composemesh.proxy.filters.mirror import shadow_authority, shadow_head
from composemesh.proxy.filters.operators import MEANINGS
from composemesh.proxy.filters.redirect import location
from composemesh.proxy.filters.rewrite import path_rewrite, rewritten_head, rewritten_target
from composemesh.routing.operators import OPERATORS, Operator, parts_of, unknown_operators

TARGETS = st.from_regex(rb"\A/[!\"$-~]{0,40}\Z")
TEXTS = st.text(max_size=30)
MATCHES = st.none() | st.builds(StringMatch, st.sampled_from(MatchKind), TEXTS, st.booleans())
URL = re.compile(rb"([a-z][a-z0-9+.-]*)://([^/\s\x00-\x1f]+)(/[!\"$-~]*)")


@given(TARGETS, st.builds(Rewrite, uri=TEXTS, authority=TEXTS), MATCHES)
def test_a_rewritten_target_is_a_path_that_parses_as_itself(
    target: bytes, rewrite: Rewrite, uri: StringMatch | None
) -> None:
    change = path_rewrite(rewrite, uri)
    assert change is not None
    path = rewritten_target(target, change)
    head = parse_request(encode_request(b"GET", path, [(b"host", b"a")]))
    assert head.path == path
    assert path.startswith(b"/")
    assert path.partition(b"?")[2].endswith(target.partition(b"?")[2])


@given(
    TARGETS,
    st.builds(
        Redirect,
        st.none() | TEXTS,
        st.none() | TEXTS,
        TEXTS,
        st.integers(0, 65535),
        st.sampled_from(PortOfRedirect),
        TEXTS,
    ),
    MATCHES,
)
def test_a_location_is_one_url_and_no_second_header(
    target: bytes, redirect: Redirect, uri: StringMatch | None
) -> None:
    where = location(redirect, uri, authority=b"a.example:8080", path=target, scheme=b"http", port=8080)
    found = URL.fullmatch(where)
    assert found is not None
    if not redirect.authority:
        assert found[2].partition(b":")[0] == b"a.example"
    assert FIELDS.fullmatch(b"location: " + where + b"\r\n")


NOBODY: Any = None


def changed_by(fields: Fields, *changes: HeaderChange) -> Fields:
    """What operations make of fields, whatever the request: none of these values speaks of it."""
    return Change(*changes).on(NOBODY, NOBODY)(fields)


FIELD = st.tuples(TEXTS, TEXTS)
CHANGES = st.builds(HeaderChange, st.lists(FIELD).map(tuple), st.lists(FIELD).map(tuple), st.lists(TEXTS).map(tuple))


@given(CHANGES, CHANGES)
def test_whatever_headers_are_asked_for_frame_nothing(arm: HeaderChange, rule: HeaderChange) -> None:
    fields = [(b"Host", b"a"), (b"Content-Length", b"0"), (b"x-a", b"1")]
    changed = changed_by(list(fields), arm, rule)
    head = parse_request(encode_request(b"GET", b"/", changed))
    assert (head.authority, head.body, head.keep_alive, head.upgrade) == (b"a", 0, True, b"")
    parse_request(encode_request(b"GET", b"/", [(b"host", authority_of(arm.__class__(set=arm.set)) or b"a")]))


@given(st.integers(200, 599), st.binary(max_size=20), CHANGES)
def test_an_answer_of_the_meshs_own_says_how_long_it_is(status: int, body: bytes, change: HeaderChange) -> None:
    head, sent = own_answer(status, [], body)
    raw = encode_response(head.status, head.reason, changed_by(head.fields, change))
    lengths = re.findall(rb"\r\ncontent-length: (\d+)", raw)
    assert lengths == ([] if status in (204, 304) else [b"%d" % len(sent)])
    assert sent == (b"" if status in (204, 304) else body)


@pytest.mark.parametrize(
    ("authority", "copy"),
    [
        (b"reviews", b"reviews-shadow"),
        (b"reviews:9080", b"reviews-shadow:9080"),
        (b"10.0.0.1:80", b"10.0.0.1-shadow:80"),
        (b"[::1]", b"[::1]"),
        (b"", b""),
    ],
)
def test_shadows_have_a_name_of_their_own(authority: bytes, copy: bytes) -> None:
    assert shadow_authority(authority) == copy


def test_the_original_is_not_touched_by_what_is_made_of_it() -> None:
    raw = b"POST /a HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    head = parse_request(raw)
    before = (list(head.fields), dict(head.values), head.authority, head.path, head.body)
    copy = shadow_head(rewritten_head(head, b"/c", b"d"), 3)
    assert (list(head.fields), dict(head.values), head.authority, head.path, head.body) == before
    assert (copy.authority, copy.path, copy.body, copy.expect_continue) == (b"d-shadow", b"/c", 3, False)
    assert (b"content-length", b"3") in copy.fields


def test_origins_are_compared_whole_and_in_their_case() -> None:
    policy = CorsPolicy(Cors((StringMatch(MatchKind.EXACT, "https://a"), StringMatch(MatchKind.PREFIX, "http://b"))))

    def allows(origin: bytes) -> bool:
        return policy.allows(parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: %b\r\n\r\n" % origin))

    assert allows(b"https://a")
    assert allows(b"http://b.c")
    assert not allows(b"https://A")
    assert not allows(b"https://a, http://b")
    assert not allows(b"")


def test_every_operator_that_is_promised_means_something() -> None:
    assert set(MEANINGS) == OPERATORS


def test_values_are_taken_apart() -> None:
    assert parts_of("100%% of %REQ(x?:path):3%, %NONE%") == (
        "100",
        "%",
        " of ",
        Operator("REQ", "x?:path", 3),
        ", %NONE%",
    )
    assert parts_of("50% off") == ("50% off",)
    assert unknown_operators("%REQ(a)% %UPSTREAM_METADATA(a)% %%PROTOCOL%%") == ("UPSTREAM_METADATA",)
