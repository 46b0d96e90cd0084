"""The admin API over real sockets: its addresses, and who may not ask."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio

from composemesh.admin.mesh_view import MeshView
from composemesh.model.peer import UNKNOWN

from .conftest import TOKEN, Served, converse, parse, peer

JSON_PATHS = ["/api/v1/status", "/api/v1/services", "/api/v1/graph", "/healthz/live", "/healthz/ready"]


@pytest.mark.parametrize("path", JSON_PATHS)
async def test_json_answers(server: Served, path: str) -> None:
    status, fields, body = await server.get(path)
    assert status == 200
    assert fields["content-type"] == "application/json"
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["server"] == "composemesh"
    assert not [name for name in fields if name.startswith("access-control-")]
    json.loads(body)


async def test_what_is_served_is_what_the_view_says(
    server: Served, mesh: MeshView, tell: Callable[..., None]
) -> None:
    for _ in range(3):
        tell(UNKNOWN, peer("productpage"))
    _, _, body = await server.get("/api/v1/status")
    assert json.loads(body) == mesh.status()
    _, _, body = await server.get("/api/v1/services")
    assert json.loads(body) == mesh.services()
    for query, window in (("", 60), ("?window=5m", 300), ("?window=all", None)):
        _, _, body = await server.get(f"/api/v1/graph{query}")
        assert json.loads(body) == mesh.graph(window)


async def test_a_window_that_is_none_is_explained(server: Served) -> None:
    for path in ("/api/v1/graph", "/dotviz"):
        status, _, body = await server.get(f"{path}?window=2h")
        assert status == 400
        assert json.loads(body) == {"error": "window is 1s to 1h, or all.", "hint": f"Try {path}?window=60s."}


async def test_explain(server: Served) -> None:
    asked = "/api/v1/explain?caller=productpage&url=http%3A%2F%2Freviews%3A9080%2F&header=end-user%3A%20jason"
    status, _, body = await server.get(asked)
    said = json.loads(body)
    assert (status, said["request"]["headers"], said["decision"]["route"]) == (200, {"end-user": "jason"}, "default")
    assert [each["workload"] for each in said["decision"]["endpoints"]] == ["shop-reviews-v1-1"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?caller=a",
        "?caller=a&url=http%3A%2F%2F%5B",
        "?caller=a&url=b&header=nothing",
        "?caller=a&url=b&header=%3Ax",
    ],
)
async def test_what_cannot_be_explained(server: Served, query: str) -> None:
    status, _, body = await server.get(f"/api/v1/explain{query}")
    assert (status, json.loads(body)["hint"][:4]) == (400, "Try ")


async def test_an_envoy_is_told_what_to_start_with(server: Served) -> None:
    status, _, body = await server.get("/api/v1/export/envoy?caller=productpage&static=true")
    said = json.loads(body)
    assert (status, said["bootstrap"]["node"]["id"]) == (200, "sidecar~productpage")
    assert "dynamic_resources" not in said["bootstrap"]
    assert "ports" in said["problems"][0]["message"]  # nobody has said any
    for query, expected in (("", 400), ("?caller=nobody", 404), ("?caller=productpage&listen=x", 400)):
        status, _, body = await server.get(f"/api/v1/export/envoy{query}")
        assert (status, bool(json.loads(body)["hint"])) == (expected, True)


async def test_resources_are_changed_by_whoever_has_the_token(server: Served, mesh: MeshView) -> None:
    document = (
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: a}, spec: {hosts: [a.example]}}"
    )
    asked = json.dumps({"files": [{"name": "a.yaml", "text": document}]})
    token = f"Authorization: Bearer {TOKEN}"
    status, body = await server.post("/api/v1/resources", asked, token)
    assert (status, body["created"]) == (200, [{"kind": "ServiceEntry", "name": "a"}])
    (shown,) = json.loads((await server.get("/api/v1/resources"))[2])["resources"]
    assert (shown["name"], shown["applied"], shown["file"], shown["line"]) == ("a", True, "a.yaml", 1)

    evil = await server.post("/api/v1/resources", asked, token, "Origin: http://evil.example")
    assert evil[0] == 403
    own = await server.post("/api/v1/resources", asked, token, f"Origin: http://127.0.0.1:{server.port}")
    assert (own[0], own[1]["unchanged"]) == (200, [{"kind": "ServiceEntry", "name": "a"}])

    for wrong in ("", "[]", "{", '{"files": 1}', '{"files": [{}]}', '{"delete": ["a"]}'):
        assert (await server.post("/api/v1/resources", wrong, token))[0] == 400
    status, body = await server.post(
        "/api/v1/resources", json.dumps({"files": [{"name": "b.yaml", "text": "a: ["}]}), token
    )
    assert (status, body["accepted"], body["problems"][0]["file"]) == (422, False, "b.yaml")
    delete = json.dumps({"delete": [{"kind": "ServiceEntry", "name": "a"}]})
    assert (await server.post("/api/v1/resources", delete, token))[1]["deleted"]
    assert (await server.post("/api/v1/resources", delete, token))[0] == 404
    assert not mesh.publisher.resources


async def test_fifty_megabytes_are_refused_and_the_server_lives(server: Served) -> None:
    asked = "x" * (51 << 20)
    assert (await server.post("/api/v1/resources", asked, f"Authorization: Bearer {TOKEN}"))[0] == 413
    assert (await server.post("/api/v1/resources", asked))[0] == 401
    assert (await server.get("/healthz/live"))[0] == 200


async def test_not_ready_until_the_mesh_serves(server: Served, mesh: MeshView) -> None:
    mesh.ready = False
    status, _, body = await server.get("/healthz/ready")
    assert (status, json.loads(body)["error"]) == (503, "The mesh is still starting.")
    assert (await server.get("/healthz/live"))[0] == 200
    mesh.ready = True
    assert (await server.get("/healthz/ready"))[0] == 200


async def test_metrics_under_both_names(server: Served, tell: Callable[..., None]) -> None:
    for number in range(40):
        tell(UNKNOWN, peer(f"service-{number}"))
    for path in ("/metrics", "/stats/prometheus"):
        status, fields, body = await server.get(path)
        assert status == 200
        assert fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert body.count(b"\nistio_requests_total{") == 40
        assert body.endswith(b"\n")


async def test_the_index_names_every_address(server: Served) -> None:
    status, fields, body = await server.get("/")
    assert status == 200
    assert fields["content-type"].startswith("text/plain")
    for path in [*JSON_PATHS, "/metrics", "/dotviz"]:
        assert path in body.decode()
    paths = [line.split()[0].partition("?")[0] for line in body.decode().splitlines() if line.startswith("/")]
    for path in paths:
        if path in ("/api/v1/tap", "/api/v1/events"):
            continue  # they do not end
        if path in ("/api/v1/validate", "/api/v1/diff"):
            assert (await server.get(path))[0] == 405  # they have a body
            continue
        path = path.replace("resources/KIND/NAME", "resources").replace("KIND", "VirtualService")
        asking = path in ("/api/v1/explain", "/api/v1/export/envoy")
        query = "?caller=productpage&url=http://reviews:9080/" if asking else ""
        assert (await server.get(path + query))[0] == 200


async def test_head_is_get_without_a_body(server: Served) -> None:
    for path in ("/", "/metrics", "/api/v1/status"):
        status, _, body = await server.get(path, method="HEAD")
        assert (status, body) == (200, b"")


async def test_unknown_addresses_are_json_too(server: Served) -> None:
    status, _, body = await server.get("/api/v2/nothing")
    assert (status, json.loads(body)) == (404, {"error": "Not Found.", "hint": "GET / lists the addresses."})


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_change_without_the_token_is_refused(server: Served, method: str) -> None:
    for more in ((), ("Authorization: Bearer wrong",), ("Authorization: Bearer ",)):
        status, _, body = await server.get("/api/v1/resources", "Content-Length: 0", *more, method=method)
        assert (status, json.loads(body)["error"]) == (401, "A change needs the mesh's token.")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW"])
async def test_methods_that_mean_nothing_here(server: Served, method: str) -> None:
    status, fields, body = await server.get("/api/v1/status", "Content-Length: 0", method=method)
    assert (status, fields["allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["error"] == "Method not allowed."


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
async def test_our_own_names(server: Served, name: str) -> None:
    assert (await server.get("/healthz/live", host=f"{name}:{server.port}"))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "evil.example@127.0.0.1:{port}",
        "127.0.0.1:{port}, evil.example",
        "0.0.0.0:{port}",
        "127.1:{port}",
        "localhost.:{port}",
        ":{port}",
        "172.17.0.1:{port}",
    ],
)
async def test_other_names_are_misdirected(server: Served, host: str) -> None:
    """DNS rebinding: the page's own name arrives in Host, whatever it resolves to."""
    status, fields, body = await server.get("/api/v1/status", host=host.format(port=server.port))
    assert status == 421
    assert b"\n" not in body.strip()
    assert json.loads(body)["error"] == "This server does not go by that name."
    assert "access-control-allow-origin" not in fields


async def test_no_host_and_two_hosts(server: Served) -> None:
    good = f"Host: 127.0.0.1:{server.port}"
    assert parse(await server.say(b"GET / HTTP/1.0\r\n\r\n"))[0] == 421
    assert parse(await server.say(f"GET / HTTP/1.1\r\n{good}\r\nHost: evil\r\n\r\n".encode()))[0] in (400, 421)


async def test_the_absolute_form_does_not_get_around_the_host(server: Served) -> None:
    target = f"GET http://127.0.0.1:{server.port}/api/v1/status HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n"
    assert parse(await server.say(target.encode()))[0] == 421


async def test_a_page_of_another_origin_learns_nothing(server: Served) -> None:
    _, fields, _ = await server.get("/api/v1/status", "Origin: http://evil.example")
    assert "access-control-allow-origin" not in fields
    assert fields["cross-origin-resource-policy"] == "same-origin"


async def test_the_unix_socket_is_for_its_owner_and_needs_no_name(server: Served) -> None:
    assert server.socket.stat().st_mode & 0o777 == 0o600
    async with await trio.open_unix_socket(server.socket) as stream:
        answer = await converse(
            stream, b"GET /api/v1/status HTTP/1.1\r\nHost: composemesh\r\nConnection: close\r\n\r\n"
        )
    status, _, body = parse(answer)
    assert (status, json.loads(body)["project"]) == (200, "shop")


async def test_several_requests_on_one_connection(server: Served) -> None:
    async with await server.connect() as stream:
        for _ in range(5):
            await stream.send_all(f"GET /healthz/live HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
            answer = await stream.receive_some()
            while not answer.endswith(b'{"status":"live"}'):
                answer += await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 200")


async def test_a_mistake_of_ours_is_one_answer_and_one_log_line(
    server: Served, mesh: MeshView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mesh, "hub", None)
    status, _, body = await server.get("/api/v1/services")
    assert status == 500
    assert json.loads(body) == {"error": "The mesh made a mistake.", "hint": "Its log has the details."}
    assert capsys.readouterr().out.count("admin request failed") == 1
    assert (await server.get("/healthz/live"))[0] == 200
