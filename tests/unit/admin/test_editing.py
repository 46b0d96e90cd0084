"""Editing over real sockets: tried without the token, applied with it, conflicts, undo, and hostile bodies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio

from composemesh.admin import bodies, resource_views, resources, trials
from composemesh.admin.mesh_view import MeshView
from composemesh.cli.undo import done
from composemesh.config import moment
from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.publish import Publisher
from composemesh.config.resources import load_documents
from composemesh.stack.client import MeshClient
from composemesh.stack.errors import UserError

from .conftest import TOKEN, Served

SPLIT = """\
# by hand
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - timeout: %s
    route: [{destination: {host: reviews}}]
"""
TOKEN_FIELD = f"Authorization: Bearer {TOKEN}"
WRONG = SPLIT.replace("timeout", "timeuot") % "2s"
TRIALS = ["/api/v1/validate", "/api/v1/diff"]


def body(*texts: str, **more: Any) -> str:
    return json.dumps({"files": [{"name": "editor", "text": text} for text in texts], **more})


def named(version: str) -> list[dict[str, str]]:
    return [{"kind": "VirtualService", "name": "reviews", "version": version}]


async def get(server: Served, path: str) -> Any:
    status, _, said = await server.get(path)
    assert status == 200
    return json.loads(said)


async def test_validation_has_the_place_of_every_problem_and_changes_nothing(server: Served, mesh: MeshView) -> None:
    status, said = await server.post("/api/v1/validate", body(WRONG))
    assert (status, said["accepted"]) == (200, False)
    (problem,) = [one for one in said["problems"] if one["severity"] == "error"]
    assert (problem["file"], problem["line"], problem["column"]) == ("editor", 8, 5)
    assert "timeout" in problem["hint"]
    status, said = await server.post("/api/v1/validate", body(SPLIT % "2s"))
    assert (status, said["accepted"], said["effects"]) == (200, True, ["routes of reviews"])
    assert said["resources"] == [{"kind": "VirtualService", "name": "reviews", "line": 2}]
    assert not mesh.publisher.resources


@pytest.mark.parametrize("text", ["", "# nothing", "a: [", "\x00", "- 1", "services: {a: {image: b}}"])
async def test_whatever_is_typed_is_answered(server: Served, text: str) -> None:
    for path in TRIALS:
        status, said = await server.post(path, body(text))
        assert status == 200
        assert said["accepted"] == (text in ("", "# nothing"))


async def test_a_diff_shows_both_texts_and_what_traffic_notices(server: Served, mesh: MeshView) -> None:
    await server.post("/api/v1/resources", body(SPLIT % "2s"), TOKEN_FIELD)
    status, said = await server.post("/api/v1/diff", body(SPLIT % "3s"))
    (shown,) = said["resources"]
    assert (status, said["configured"]) == (200, [{"kind": "VirtualService", "name": "reviews"}])
    assert (shown["before"], shown["after"]) == (SPLIT % "2s", SPLIT % "3s")
    assert [line for line in shown["diff"].splitlines() if line[:1] in "+-"][2:] == [
        "-  - timeout: 2s",
        "+  - timeout: 3s",
    ]
    status, said = await server.post("/api/v1/diff", json.dumps({"delete": named("")}))
    assert said["resources"][0]["after"] == ""
    assert said["deleted"] == [{"kind": "VirtualService", "name": "reviews"}]
    assert len(mesh.publisher.resources) == 1


async def test_one_resource_with_its_text_as_it_was_written(server: Served) -> None:
    await server.post("/api/v1/resources", body(f"\n---\n{SPLIT % '2s'}"), TOKEN_FIELD)
    status, fields, said = await server.get("/api/v1/resources/VirtualService/reviews")
    shown = json.loads(said)
    assert (status, shown["text"], shown["text_line"], shown["applied"]) == (200, SPLIT % "2s", 3, True)
    assert (fields["etag"], shown["overrides"]) == (f'"{shown["version"]}"', None)
    assert (await get(server, "/api/v1/resources"))["resources"][0]["version"] == shown["version"]
    assert (await server.get("/api/v1/resources/VirtualService/nothing"))[0] == 404
    assert (await server.get("/api/v1/resources/VirtualService/reviews?group=other"))[0] == 404


async def test_of_two_editors_the_second_is_told(server: Served) -> None:
    asked = body(SPLIT % "1s", expect=named(""))
    assert (await server.post("/api/v1/resources", asked, TOKEN_FIELD))[0] == 200
    status, said = await server.post("/api/v1/resources", asked, TOKEN_FIELD)
    assert (status, said["error"]) == (412, "VirtualService reviews is there already: somebody else was faster.")
    version = (await get(server, "/api/v1/resources/VirtualService/reviews"))["version"]
    status, _ = await server.post("/api/v1/resources", body(SPLIT % "2s", expect=named(version)), TOKEN_FIELD)
    assert status == 200
    status, said = await server.post("/api/v1/resources", body(SPLIT % "3s", expect=named(version)), TOKEN_FIELD)
    assert status == 412
    gone = json.dumps({"delete": named("")[:1], "expect": named(version)})
    assert (await server.post("/api/v1/resources", gone, TOKEN_FIELD))[0] == 412


async def test_undo_over_the_port(server: Served) -> None:
    for time in ("1s", "2s"):
        await server.post("/api/v1/resources", body(SPLIT % time), TOKEN_FIELD)
    newest, oldest = (await get(server, "/api/v1/history"))["steps"]
    assert (newest["configured"], oldest["created"]) == ([{"kind": "VirtualService", "name": "reviews"}],) * 2
    assert (await server.post("/api/v1/undo", ""))[0] == 401
    status, said = await server.post("/api/v1/undo", json.dumps({"id": oldest["id"]}), TOKEN_FIELD)
    assert (status, said["error"]) == (409, "This is not the last change any more.")
    status, said = await server.post("/api/v1/undo", json.dumps({"id": newest["id"]}), TOKEN_FIELD)
    assert (status, said["accepted"], len(said["configured"])) == (200, True, 1)
    assert (await get(server, "/api/v1/resources/VirtualService/reviews"))["text"] == SPLIT % "1s"
    assert (await server.post("/api/v1/undo", "", TOKEN_FIELD))[1]["deleted"]
    assert (await server.post("/api/v1/undo", "", TOKEN_FIELD))[0] == 409


async def test_schemas_of_kinds(server: Served) -> None:
    assert (await get(server, "/api/v1/schema/VirtualService"))["properties"]["kind"] == {"const": "VirtualService"}
    kinds = (await get(server, "/api/v1/schema"))["kinds"]
    assert {"kind": "VirtualService", "api_version": "networking.istio.io/v1"} in kinds
    one = await get(server, "/api/v1/schema/Gateway?group=gateway.networking.k8s.io")
    assert one["title"] == "Gateway of gateway.networking.k8s.io"
    status, _, said = await server.get("/api/v1/schema/Nonsense")
    assert (status, "VirtualService" in json.loads(said)["hint"]) == (404, True)


@pytest.mark.parametrize("path", [*TRIALS, "/api/v1/resources"])
async def test_a_string_that_is_no_text_is_refused_wherever_it_stands(server: Served, path: str) -> None:
    half = "\ud800"
    for said in (
        {"files": [{"name": half, "text": ""}]},
        {"files": [{"name": "editor", "text": half}]},
        *({word: [{"kind": half, "name": "a"}]} for word in ("delete", "expect")),
        *({word: [{"kind": "Gateway", "name": half}]} for word in ("delete", "expect")),
        {"expect": [{"kind": "Gateway", "name": "a", "version": half}]},
    ):
        status, answer = await server.post(path, json.dumps(said), TOKEN_FIELD)
        assert (status, answer["error"]) == (400, bodies.NO_TEXT)


async def test_a_kind_may_be_written_in_any_case(server: Served, mesh: MeshView) -> None:
    await server.post("/api/v1/resources", body(SPLIT % "2s"), TOKEN_FIELD)
    (found,) = (await get(server, "/api/v1/resources?kind=virtualservice"))["resources"]
    assert found["kind"] == "VirtualService"
    assert (await get(server, "/api/v1/resources/virtualservice/reviews"))["kind"] == "VirtualService"
    gone = json.dumps({"delete": [{"kind": "virtualservice", "name": "reviews"}]})
    assert (await server.post("/api/v1/resources", gone, TOKEN_FIELD))[0] == 200
    assert not mesh.publisher.resources


@pytest.mark.parametrize("path", TRIALS)
async def test_a_trial_needs_no_token_and_still_our_own_page(server: Served, path: str) -> None:
    good = body(SPLIT % "1s")
    assert (await server.post(path, good, f"Origin: http://localhost:{server.port}"))[0] == 200
    assert (await server.post(path, good, "Content-Type: application/json; charset=utf-8"))[0] == 200
    assert (await server.post(path, good, "Origin: http://evil.example"))[0] == 403
    assert (await server.post(path, good, "Origin: null"))[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        status, said = await server.post(path, good, f"Content-Type: {kind}")
        assert (status, said["error"]) == (415, "The body must be JSON.")
    status, _, said = await server.get(path, "Content-Length: 0", host="evil.example", method="POST")
    assert (status, b"\n" in said.strip()) == (421, False)


DEEP = "[" * 200_000
BOMB = (
    "a: &a ["
    + "x, " * 9
    + "x]\n"
    + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
)


@pytest.mark.parametrize("path", [*TRIALS, "/api/v1/resources"])
async def test_hostile_bodies_get_one_line_and_the_server_lives(server: Served, path: str) -> None:
    for wrong in (
        "",
        "{",
        "[]",
        "null",
        '"x"',
        DEEP,
        '{"files": 1}',
        '{"files": [[]]}',
        '{"files": [{"name": 1}]}',
        "\x00",
    ):
        status, said = await server.post(path, wrong, TOKEN_FIELD)
        assert (status, set(said)) == (400, {"error", "hint"})
    expected = 422 if path == "/api/v1/resources" else 200
    for text, code in ((DEEP, "too-deep"), (BOMB, "too-many-aliases"), ("x" * (1 << 20), "wrong-type")):
        if expected == 200 and len(text) > 300_000:
            continue
        status, said = await server.post(path, body(text), TOKEN_FIELD)
        assert (status, said["accepted"], said["problems"][0]["code"]) == (expected, False, code)
    assert (await server.get("/healthz/live"))[0] == 200


@pytest.mark.parametrize("path", TRIALS)
async def test_fifty_megabytes_without_a_token_are_thrown_away_as_they_come(server: Served, path: str) -> None:
    before = resident()
    status, said = await server.post(path, "x" * (50 << 20))
    assert (status, said["error"]) == (413, f"More than {trials.MOST_BYTES >> 20} MiB.")
    # The client's own copies are in this process: what matters is that they have gone again.
    assert resident() - before < 40 << 20
    assert (await server.post("/api/v1/undo", "x" * (2 << 10), TOKEN_FIELD))[0] == 413


async def test_what_is_tried_is_compiled_while_others_are_served(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "  - {match: [{uri: {exact: /a%d}}], route: [{destination: {host: reviews}}]}\n"
    text = (SPLIT % "1s").replace("  - timeout", "".join(rule % number for number in range(1500)) + "  - timeout")
    await server.post("/api/v1/resources", body(SPLIT % "2s"), TOKEN_FIELD)
    turns = 0
    seen: list[int] = []

    def noticed(*args: Any, **more: Any) -> Any:
        seen.append(turns)
        compiled = compile_mesh(*args, **more)
        seen.append(turns)
        return compiled

    monkeypatch.setattr(moment, "compile_mesh", noticed)
    async with trio.open_nursery() as nursery:

        async def post() -> None:
            status, said = await server.post("/api/v1/diff", body(text))
            assert (status, said["accepted"], len(said["configured"])) == (200, True, 1)
            nursery.cancel_scope.cancel()

        nursery.start_soon(post)
        while True:
            turns += 1
            await trio.sleep(0.001)
    began, ended = seen
    assert ended - began > 5


async def test_a_large_body_is_read_while_others_are_served(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MiB of YAML takes a second to read: the loop must go on."""
    text = "".join(f"k{number}: [{number}]\n" for number in range(25_000))
    turns = 0
    seen: list[int] = []

    def noticed(*args: Any, **kinds: Any) -> Any:
        seen.append(turns)
        loaded = load_documents(*args, **kinds)
        seen.append(turns)
        return loaded

    monkeypatch.setattr(bodies, "load_documents", noticed)
    async with trio.open_nursery() as nursery:

        async def post() -> None:
            status, said = await server.post("/api/v1/validate", body(text))
            assert (status, said["accepted"]) == (200, False)
            nursery.cancel_scope.cancel()

        nursery.start_soon(post)
        while True:
            turns += 1
            await trio.sleep(0.001)
    began, ended = seen
    assert ended - began > 5


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_more_is_taken_of_whoever_has_the_token() -> None:
    assert resources.MOST_BYTES == 50 * trials.MOST_BYTES


async def test_undo_over_the_socket_as_the_command_does_it(server: Served) -> None:
    client = MeshClient(server.socket)
    files = [("reviews.yaml", SPLIT % "1s")]
    assert (await trio.to_thread.run_sync(client.change, files))["created"]
    (step,) = (await trio.to_thread.run_sync(client.history))["steps"]
    assert done(step) == ["virtualservice/reviews created"]
    assert (await trio.to_thread.run_sync(client.undo))["deleted"]
    with pytest.raises(UserError, match="There is no change to take back"):
        await trio.to_thread.run_sync(client.undo)


async def test_the_compose_files_own_words_are_shown_with_their_place(
    server: Served, mesh: MeshView, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("x-mesh: {egress: allow}\nservices:\n  web:\n    x-mesh:\n      version: v2\n  db: {}\n")

    async def resolve() -> Resolved:
        return Resolved(file.read_text(), (file,))

    publisher = Publisher("shop", mesh.discovered, resolve, [file])
    await publisher.load()
    shown = [resource_views.block(one) for one in publisher.written.document.written]
    assert shown == [
        {"service": "", "file": str(file), "line": 1, "text": "x-mesh:\n  egress: allow\n"},
        {"service": "web", "file": str(file), "line": 4, "text": "x-mesh:\n  version: v2\n"},
    ]
    assert (await get(server, "/api/v1/resources"))["compose"] == []


async def test_what_stands_behind_an_applied_resource_is_told(server: Served, mesh: MeshView, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("x-mesh: {resources: [split.yaml]}\nservices: {reviews: {}}\n")
    (tmp_path / "split.yaml").write_text(f"---\n{SPLIT % '1s'}")

    async def resolve() -> Resolved:
        return Resolved((tmp_path / "compose.yaml").read_text(), (tmp_path / "compose.yaml",))

    publisher = Publisher("shop", mesh.discovered, resolve, [tmp_path / "compose.yaml"])
    await publisher.load()
    mesh.publisher._written = publisher.written
    path = "/api/v1/resources/VirtualService/reviews"
    before = await get(server, path)
    assert (before["applied"], before["text"], before["text_line"], before["overrides"]) == (
        False,
        SPLIT % "1s",
        2,
        None,
    )
    await server.post("/api/v1/resources", body(SPLIT % "2s", expect=named(before["version"])), TOKEN_FIELD)
    after = await get(server, path)
    assert (after["applied"], after["overrides"]) == (True, {"file": str(tmp_path / "split.yaml"), "line": 3})
    status, said = await server.post("/api/v1/resources", json.dumps({"delete": named("")}), TOKEN_FIELD)
    assert (status, said["configured"]) == (200, [{"kind": "VirtualService", "name": "reviews"}])
    assert (await get(server, path))["text"] == SPLIT % "1s"
