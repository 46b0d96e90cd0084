"""What rules do besides choosing: rewrites, redirects, answers of their own, header operations, CORS."""

from __future__ import annotations

import pytest

from composemesh.model.route import (
    Cors,
    DirectResponse,
    HeaderChange,
    HttpMatch,
    HttpRule,
    MatchKind,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
)
from mesh.net import Net
from mesh.routes import (
    Client,
    add_versions,
    applied,
    configure,
    connect,
    exact,
    headers,
    prefix,
    regex,
    rule,
    telling,
    to,
)


async def seeing(net: Net, *rules: HttpRule) -> tuple[Client, list[bytes]]:
    """A client of `reviews`, of one version, with these rules; and what its instance sees."""
    seen: list[bytes] = []
    versions = await add_versions(net, "v1", handler=telling(b"v1", seen))
    configure(net, *rules)
    await applied(net)
    return await connect(net, versions["v1"]), seen


def fields_of(head: bytes) -> list[tuple[str, str]]:
    lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


# === rewrites ===

SEGMENTS = StringMatch(MatchKind.SEGMENTS, "/api")
REWRITES = {
    "prefix": (prefix("/api"), Rewrite(uri="/v2"), "/api/x?y=1", "/v2/x?y=1"),
    "prefix by nothing but a slash": (prefix("/api/"), Rewrite(uri="/"), "/api/x", "/x"),
    "prefix and slashes as they stand": (prefix("/api"), Rewrite(uri="/"), "/api/x", "//x"),
    "prefix of any case": (StringMatch(MatchKind.PREFIX, "/API", True), Rewrite(uri="/v2"), "/aPi/x", "/v2/x"),
    "exact path": (exact("/api"), Rewrite(uri="/v2"), "/api?y=1", "/v2?y=1"),
    "path by a regex": (regex("/a.*"), Rewrite(uri="/v2"), "/api/x?y=1", "/v2?y=1"),
    "whatever path": (None, Rewrite(uri="/v2/"), "/api/x", "/v2/api/x"),
    "segments": (SEGMENTS, Rewrite(uri="/v2/"), "/api/x", "/v2/x"),
    "segments, whole": (SEGMENTS, Rewrite(uri="/v2"), "/api", "/v2"),
    "segments taken away": (SEGMENTS, Rewrite(uri="/"), "/api/x", "/x"),
    "segments taken away, whole": (SEGMENTS, Rewrite(uri="/"), "/api?y", "/?y"),
    "regex": (None, Rewrite(regex="^/api/([^/]+)/(.*)$", substitution=r"/\2/\1"), "/api/a/b?c=/api/", "/b/a?c=/api/"),
    "every match of a regex": (None, Rewrite(regex="o", substitution="0"), "/foo/boo?o", "/f00/b00?o"),
    "regex with a group that is not there": (None, Rewrite(regex="(x)?a", substitution=r"/\1\9b\\"), "/a", "//b\\"),
    "regex that matches nothing": (None, Rewrite(regex="^/never", substitution="/x"), "/a", "/a"),
    "to nothing at all": (None, Rewrite(regex=".*", substitution=""), "/a", "/"),
    "to what no request line can hold": (
        exact("/a"),
        Rewrite(uri="/x y\r\nEvil: 1#é"),
        "/a",
        "/x%20y%0D%0AEvil:%201%23%C3%A9",
    ),
}


@pytest.mark.parametrize("name", REWRITES)
async def test_rewrites_of_the_path(net: Net, name: str) -> None:
    uri, rewrite, target, becomes = REWRITES[name]
    client, seen = await seeing(net, rule(to(), match=HttpMatch(uri=uri), rewrite=rewrite))
    assert (await client.ask(target)).status == 200
    assert seen[0].split(b" ")[1].decode() == becomes
    assert ("x-envoy-original-path", target) in fields_of(seen[0])
    assert (await net.records.next()).path == target


async def test_the_authority_is_rewritten_by_rewrite_then_rule_then_arm(net: Net) -> None:
    host = HeaderChange(set=(("host", "of-the-rule:1"),))
    arm = to(request=HeaderChange(set=((":authority", "of-the-arm"),)))
    client, seen = await seeing(
        net,
        rule(
            arm, match=HttpMatch(uri=exact("/1")), rewrite=Rewrite(authority="of-the-rewrite"), headers=headers(host)
        ),
        rule(arm, match=HttpMatch(uri=exact("/2")), headers=headers(host)),
        rule(arm, match=HttpMatch(uri=exact("/3"))),
        rule(to(), rewrite=Rewrite(authority="no\r\nauthority: at all")),
    )
    for target in ("/1", "/2", "/3", "/4"):
        await client.ask(target, host="reviews:8080")
    hosts = [[value for name, value in fields_of(head) if name == "host"] for head in seen]
    assert hosts == [["of-the-rewrite"], ["of-the-rule:1"], ["of-the-arm"], ["reviews:8080"]]


# === header operations ===


async def test_headers_are_removed_set_and_added_on_both_ways(net: Net) -> None:
    there = HeaderChange(set=(("x-set", "new"), ("x-both", "s")), add=(("x-add", "2"),), remove=("x-gone", "x-both"))
    back = HeaderChange(set=(("server", "mine"),), add=(("x-from", "mesh"),), remove=("x-target",))
    client, seen = await seeing(net, rule(to(), headers=headers(there, back)))
    answer = await client.ask(fields={"X-Set": "old", "x-add": "1", "X-Gone": "1", "x-both": "0"})
    there_seen = [field for field in fields_of(seen[0]) if field[0] in ("x-set", "x-add", "x-gone", "x-both")]
    assert there_seen == [("x-add", "1"), ("x-set", "new"), ("x-both", "s"), ("x-add", "2")]
    assert [value for name, value in answer.lines if name == "x-from"] == ["v1", "mesh"]
    assert [value for name, value in answer.lines if name == "server"] == ["mine"]
    assert "x-target" not in answer.fields


async def test_of_rule_and_arm_the_rule_has_its_way(net: Net) -> None:
    arm = to(request=HeaderChange(set=(("x-a", "arm"),), add=(("x-b", "arm"),), remove=("x-c",)))
    client, seen = await seeing(
        net, rule(arm, headers=headers(HeaderChange(set=(("x-a", "rule"),), add=(("x-b", "rule"),))))
    )
    await client.ask(fields={"x-c": "1"})
    said = [field for field in fields_of(seen[0]) if field[0] in ("x-a", "x-b", "x-c")]
    assert said == [("x-b", "arm"), ("x-a", "rule"), ("x-b", "rule")]


async def test_headers_of_the_mesh_can_be_changed_and_framing_can_not(net: Net) -> None:
    change = HeaderChange(
        set=(
            ("x-request-id", "mine"),
            ("content-length", "999"),
            ("transfer-encoding", "chunked"),
            ("bad name", "x"),
        ),
        add=(("connection", "close"), ("x-split", "a\r\nevil: 1"), ("x\r\nevil", "2")),
        remove=("host", "x-forwarded-proto"),
    )
    client, seen = await seeing(net, rule(to(), headers=headers(change, change)))
    answer = await client.ask(method="POST", body=b"body")
    names = [name for name, _ in fields_of(seen[0])]
    assert seen[0].endswith(b"\r\n\r\nbody")
    assert dict(fields_of(seen[0]))["x-request-id"] == "mine"
    assert dict(fields_of(seen[0]))["x-split"] == "a evil: 1"
    assert "x-forwarded-proto" not in names
    assert not {"evil", "transfer-encoding", "connection", "bad name"} & set(names)
    assert answer.body == b"v1"
    assert (await client.ask()).body == b"v1"  # and the connection lives on


async def test_values_may_speak_of_the_request_and_of_its_answer(net: Net) -> None:
    there = HeaderChange(
        set=(
            ("x-who", "%REQ(x-user?end-user)% at %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
            ("x-none", "%REQ(nope)%"),
        ),
        add=(("x-path", "%REQ(:PATH):4% 100%%"), ("x-odd", "%UNKNOWN% 5%")),
    )
    back = HeaderChange(set=(("x-was", "%RESPONSE_CODE% %RESPONSE_FLAGS% %ROUTE_NAME% %PROTOCOL%"),))
    client, seen = await seeing(net, rule(to(), name="all", rewrite=Rewrite(uri="/b/"), headers=headers(there, back)))
    answer = await client.ask("/abcdef", fields={"end-user": "jason", "x-none": "kept"})
    said = dict(fields_of(seen[0]))
    assert said["x-who"] == "jason at 127.0.0.1"
    assert said["x-path"] == "/abc 100%"
    assert said["x-none"] == "kept"
    assert said["x-odd"] == "%UNKNOWN% 5%"
    assert answer.fields["x-was"] == "200 - all HTTP/1.1"


# === redirects and answers of a rule's own ===

REDIRECTS = {
    "path": (Redirect(uri="/new"), "/old?q=1", "http://reviews/new?q=1"),
    "path with a query of its own": (Redirect(uri="/new?a=b"), "/old?q=1", "http://reviews/new?a=b"),
    "prefix": (Redirect(prefix="/new"), "/old/x?q=1", "http://reviews/new/x?q=1"),
    "authority": (Redirect(authority="other.example:81"), "/old", "http://other.example:81/old"),
    "authority and port": (Redirect(authority="other.example:81", port=82), "/old", "http://other.example:82/old"),
    "an authority keeps its port": (Redirect(authority="o:80", scheme="https"), "/old", "https://o:80/old"),
    "scheme": (Redirect(scheme="https"), "/old", "https://reviews/old"),
    "port": (Redirect(port=8443, scheme="https"), "/old", "https://reviews:8443/old"),
    "the scheme's own port is not written": (Redirect(port=443, scheme="https"), "/old", "https://reviews/old"),
    "port of the request": (Redirect(derive_port=PortOfRedirect.REQUEST_PORT), "/old", "http://reviews:8080/old"),
    "port of the protocol": (
        Redirect(scheme="https", derive_port=PortOfRedirect.PROTOCOL_DEFAULT),
        "/old",
        "https://reviews/old",
    ),
    "a path that looks like a host": (Redirect(uri="//evil.example/"), "/old", "http://reviews//evil.example/"),
    "a path without a slash": (Redirect(uri="@evil.example/"), "/old", "http://reviews/@evil.example/"),
    "line ends": (
        Redirect(uri="/a\r\nSet-Cookie: b", authority="x\r\ny"),
        "/old",
        "http://reviews/a%0D%0ASet-Cookie:%20b",
    ),
    "line ends in a query": (Redirect(uri="/a?\r\nSet-Cookie: b"), "/old", "http://reviews/a?%0D%0ASet-Cookie:%20b"),
    "a target of slashes": (Redirect(scheme="https"), "//evil.example/%2f..", "https://reviews//evil.example/%2f.."),
}


@pytest.mark.parametrize("name", REDIRECTS)
async def test_redirects(net: Net, name: str) -> None:
    redirect, target, location = REDIRECTS[name]
    uri = prefix("/old") if target.startswith("/old") else None
    client, seen = await seeing(net, rule(to(), match=HttpMatch(uri=uri), redirect=redirect))
    answer = await client.ask(target)
    assert (answer.status, answer.fields["location"]) == (301, location)
    assert not seen
    assert (await net.records.next()).response_code == 301


async def test_the_port_that_the_caller_wrote_stays_unless_it_is_the_old_schemes(net: Net) -> None:
    client, _ = await seeing(
        net,
        rule(
            to(),
            redirect=Redirect(scheme="https", code=308),
            headers=headers(response=HeaderChange(add=(("x", "1"),))),
        ),
    )
    kept = await client.ask(host="reviews:8080")
    assert (kept.status, kept.fields["location"], kept.fields["x"]) == (308, "https://reviews:8080/", "1")
    assert (await client.ask(host="reviews:80")).fields["location"] == "https://reviews/"


async def test_a_direct_response(net: Net) -> None:
    client, seen = await seeing(
        net,
        rule(to(), match=HttpMatch(uri=exact("/empty")), direct_response=DirectResponse(204)),
        rule(
            to(),
            direct_response=DirectResponse(418, b"teapot\n"),
            headers=headers(response=HeaderChange((("x", "1"),))),
        ),
    )
    answer = await client.ask()
    assert (answer.status, answer.body, answer.fields["content-type"], answer.fields["x"]) == (
        418,
        b"teapot\n",
        "text/plain",
        "1",
    )
    empty = await client.ask("/empty")
    assert empty.status == 204
    assert "content-length" not in empty.fields
    head = await client.ask(method="HEAD")
    assert (head.status, head.fields["content-length"]) == (418, "7")
    assert not seen
    record = await net.records.next()
    assert (record.response_code, record.bytes_sent, record.attempts) == (418, 7, 0)


async def test_an_answer_of_the_meshs_own_is_no_proof_that_the_port_speaks_http(net: Net) -> None:
    client, _ = await seeing(net, rule(to(), direct_response=DirectResponse(200)))
    await client.ask()
    assert net.fleet.planner.spoken["reviews"].learned == {}


# === CORS ===

CORS = Cors(
    allow_origins=(exact("https://a.example"), regex("https://.*[.]b[.]example")),
    allow_methods=("GET", "POST"),
    allow_headers=("x-a", "x-b"),
    expose_headers=("x-seen",),
    max_age=600.0,
    allow_credentials=True,
)
PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}


async def test_a_preflight_is_answered_for_an_origin_that_matches(net: Net) -> None:
    client, seen = await seeing(net, rule(to(), cors=CORS))
    answer = await client.ask(method="OPTIONS", fields=PREFLIGHT)
    said = {name: value for name, value in answer.fields.items() if name.startswith("access-control")}
    assert answer.status == 200
    assert said == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-a,x-b",
        "access-control-max-age": "600",
    }
    assert not seen


async def test_an_answer_says_which_origin_may_read_it(net: Net) -> None:
    client, seen = await seeing(
        net,
        rule(to(), cors=CORS, headers=headers(response=HeaderChange(set=(("access-control-allow-origin", "*"),)))),
    )
    answer = await client.ask(fields={"Origin": "https://c.b.example"})
    assert [value for name, value in answer.lines if name == "access-control-allow-origin"] == ["https://c.b.example"]
    assert answer.fields["access-control-allow-credentials"] == "true"
    assert answer.fields["access-control-expose-headers"] == "x-seen"
    assert len(seen) == 1


@pytest.mark.parametrize("origin", ["https://evil.example", "https://a.example.evil", "null"])
async def test_other_origins_are_left_alone(net: Net, origin: str) -> None:
    client, seen = await seeing(net, rule(to(), cors=CORS))
    answer = await client.ask(fields={"Origin": origin})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.fields
    assert (await client.ask(method="OPTIONS", fields={**PREFLIGHT, "Origin": origin})).body == b"v1"
    assert len(seen) == 2


async def test_unmatched_preflights_may_be_ignored(net: Net) -> None:
    cors = Cors(allow_origins=CORS.allow_origins, forward_unmatched_preflights=False)
    client, seen = await seeing(net, rule(to(), cors=cors))
    answer = await client.ask(method="OPTIONS", fields={**PREFLIGHT, "Origin": "https://evil.example"})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.fields
    assert not seen
    await client.ask(method="OPTIONS")
    assert len(seen) == 1


# === hostile targets ===

TARGETS = [b"*", b"//", b"/%2f..%2f", b"/%00", b"/a?%ff=%e9&&=", b"/;?#"[:3], b"http://reviews/a", b"/" + b"a" * 4000]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rewrite", [Rewrite(uri="/x"), Rewrite(regex="(.)(.*)", substitution=r"\2\1")])
async def test_hostile_targets_meet_every_kind_of_match_and_rewrite(
    net: Net, target: bytes, rewrite: Rewrite
) -> None:
    kinds = [MatchKind.EXACT, MatchKind.PREFIX, MatchKind.SEGMENTS, MatchKind.REGEX]
    odd = tuple(HttpMatch(uri=StringMatch(kind, "/é"), query_params={"q": StringMatch(kind, "é")}) for kind in kinds)
    client, seen = await seeing(net, rule(to(), match=odd), rule(to(), rewrite=rewrite))
    method = "OPTIONS" if target == b"*" else "GET"
    answer = await client.ask(target, method=method, fields={"x-bytes": "\xff\xfe"})
    assert answer.status == 200
    line = seen[0].split(b"\r\n")[0].split(b" ")
    assert len(line) == 3
    assert all(33 <= byte <= 126 for byte in line[1])
    assert (await client.ask()).status == 200
