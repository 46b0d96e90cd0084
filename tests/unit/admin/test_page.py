"""The page: what its files are answered with, and that a script and a person get each their own `/`."""

from __future__ import annotations

import gzip
import re

import pytest

from composemesh import ui
from composemesh.admin.page import POLICY

from .conftest import Served

HTML = "Accept: text/html,*/*;q=0.8"


@pytest.fixture
def built() -> str:
    """The document, where the page has been built."""
    document = ui.read("index.html")
    if document is None:
        pytest.skip("the page is not built: `make setup` does it, with Node 20.19 or later")
    return document.decode()


async def test_a_browser_gets_the_page_and_everybody_else_the_list(server: Served, built: str) -> None:
    status, fields, body = await server.get("/", HTML)
    assert (status, body.decode()) == (200, built)
    assert fields["content-type"] == "text/html; charset=utf-8"
    status, fields, body = await server.get("/")
    assert fields["content-type"].startswith("text/plain")
    assert b"/api/v1/status" in body
    assert "accept" in fields["vary"]


async def test_the_page_is_held_to_files_of_this_server(server: Served, built: str) -> None:
    _, fields, _ = await server.get("/", HTML)
    assert fields["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert fields["x-content-type-options"] == "nosniff"
    for address in re.findall(r'(?:src|href)="([^"]*)"', built):
        assert address.startswith("/assets/"), address
    assert "<style" not in built
    assert not re.search(r"<script[^>]*>[^<]", built)
    assert not re.search(r"\son\w+=", built)


async def test_files_are_kept_for_ever_and_the_page_is_asked_for_again(server: Served, built: str) -> None:
    _, fields, _ = await server.get("/", HTML)
    assert fields["cache-control"] == "no-cache"
    status, again, body = await server.get("/", HTML, f"If-None-Match: {fields['etag']}")
    assert (status, body, again["etag"]) == (304, b"", fields["etag"])
    for address in re.findall(r'"(/assets/[^"]*)"', built):
        status, fields, _ = await server.get(address)
        assert (status, fields["cache-control"]) == (200, "public, max-age=31536000, immutable")


async def test_files_have_their_types_and_come_compressed_to_who_can_read_that(server: Served, built: str) -> None:
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    for address in re.findall(r'"(/assets/[^"]*)"', built):
        _, plain, whole = await server.get(address)
        _, packed, body = await server.get(address, "Accept-Encoding: gzip, br")
        assert plain["content-type"] == packed["content-type"] == types[address.rpartition(".")[2]]
        if packed.get("content-encoding") == "gzip":
            assert packed["etag"] != plain["etag"]
            body = gzip.decompress(body)
        assert body == whole


async def test_only_files_of_the_page_are_to_be_had(server: Served) -> None:
    for name in (
        "nothing.js",
        "..%2findex.html",
        "..",
        ".sources",
        "%2e%2e%2f%2e%2e%2f__init__.py",
        "a%00b",
        "a" * 5000,
        "a" * 200,
    ):
        status, fields, _ = await server.get(f"/assets/{name}", HTML)
        assert status == 404, name
        assert fields["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_name_too_long_for_a_file_is_none() -> None:
    assert ui.read("assets/" + "a" * 5000) is None


async def test_a_copy_without_the_page_says_so_to_browsers(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "read", lambda _name: None)
    status, _, body = await server.get("/", HTML)
    assert (status, b"There is no page here" in body) == (200, True)
    assert b"no page" not in (await server.get("/"))[2]


async def test_a_page_under_another_name_is_refused(server: Served) -> None:
    assert (await server.get("/", HTML, host="evil.example:80"))[0] == 421


def test_all_that_a_page_needs_is_small(built: str) -> None:
    from importlib.resources import files

    assets = list(files("composemesh.ui").joinpath("static", "assets").iterdir())
    assert sum(len(gzip.compress(asset.read_bytes())) for asset in assets) < 400 * 1024


def test_the_licences_of_what_is_bundled_go_with_it(built: str) -> None:
    licences = (ui.read("licenses.md") or b"").decode()
    for name in ("preact", "@preact/signals", "@dagrejs/dagre", "@codemirror/view", "@lezer/common"):
        assert re.search(rf"^## {name} - \S+ \(MIT\)$", licences, re.MULTILINE), name
    assert licences.count("Permission is hereby granted, free of charge") == licences.count("\n## ")
