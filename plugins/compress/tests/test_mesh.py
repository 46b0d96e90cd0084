"""The filter in a running mesh, asked by curl: what arrives is what was sent, in what curl takes."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import brotli
import pytest
import trio
import zstandard

from composemesh.app import Rejected
from composemesh.testing import Request, Response, RunningMesh, check_filter, running_mesh
from composemesh_compress.filter import Compress

TEXT = "".join(f"<p>line {number} of a page that says little</p>\n" for number in range(400)).encode()
HTML = {"content-type": "text/html; charset=utf-8", "etag": '"v1"', "accept-ranges": "bytes"}
COMPOSE = "x-mesh: {filters: [compress%s]}\nservices: {web: {}}\n"
PAGES = {
    "/": Response(200, TEXT, HTML),
    "/weak": Response(200, TEXT, {**HTML, "etag": 'W/"v1"', "vary": "Origin"}),
    "/star": Response(200, TEXT, {**HTML, "vary": "*"}),
    "/small": Response(200, b"<p>small</p>", HTML),
    "/image": Response(200, TEXT, {"content-type": "image/png"}),
    "/coded": Response(200, zlib.compress(TEXT), {**HTML, "content-encoding": "deflate"}),
    "/fixed": Response(200, TEXT, {**HTML, "cache-control": "no-transform"}),
    "/part": Response(206, TEXT, {**HTML, "content-range": f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}"}),
    "/same": Response(304, b"", HTML),
    "/none": Response(204, b"", {"content-type": "text/html"}),
    "/missing": Response(404, TEXT, HTML),
}


async def application(request: Request) -> Response:
    if request.method == "HEAD":
        return Response(200, b"", {**HTML, "content-length": str(len(TEXT))})
    return PAGES[request.path]


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[RunningMesh]:
    async with running_mesh(COMPOSE % "", folder=tmp_path, applications={"web": application}) as running:
        yield running
        assert running.problems == ()


async def curl(mesh: RunningMesh, path: str, *arguments: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body as curl has them; with `--compressed` it has undone the coding."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    host, port = mesh.address("web")
    command = ["curl", "-sS", "-i", "--max-time", "20", *arguments, f"http://{host}:{port}{path}"]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), fields, body


def taking(*codings: str) -> tuple[str, str]:
    return "-H", f"Accept-Encoding: {', '.join(codings)}"


UNDO = {
    "gzip": lambda data: zlib.decompress(data, 16 + zlib.MAX_WBITS),
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_each_coding_as_curl_reads_it(mesh: RunningMesh, coding: str) -> None:
    status, fields, body = await curl(mesh, "/", *taking(coding))
    assert (status, fields["content-encoding"], fields["vary"]) == (200, coding, "Accept-Encoding")
    assert fields["etag"] == 'W/"v1"'
    assert "accept-ranges" not in fields
    assert len(body) < len(TEXT) / 4
    assert UNDO[coding](body) == TEXT


async def test_curl_s_own_codings_come_out_as_they_went_in(mesh: RunningMesh) -> None:
    features = (await trio.run_process(["curl", "-V"], capture_stdout=True)).stdout.decode().split()
    status, fields, body = await curl(mesh, "/", "--compressed")
    assert (status, body) == (200, TEXT)
    assert fields["content-encoding"] == ("zstd" if "zstd" in features else "br" if "brotli" in features else "gzip")


@pytest.mark.parametrize("wanted", [(), taking("identity"), taking("gzip;q=0"), taking("deflate"), taking("bogus;;")])
async def test_who_takes_none_gets_none_and_caches_know(mesh: RunningMesh, wanted: tuple[str, ...]) -> None:
    status, fields, body = await curl(mesh, "/", *(wanted or ("-H", "Accept-Encoding:")))
    assert (status, body, fields.get("content-encoding")) == (200, TEXT, None)
    assert (fields["vary"], fields["etag"], fields["content-length"]) == ("Accept-Encoding", '"v1"', str(len(TEXT)))


async def test_weights_decide(mesh: RunningMesh) -> None:
    _, fields, _ = await curl(mesh, "/", *taking("zstd;q=0.1", "gzip;q=0.9", "br;q=0.5"))
    assert fields["content-encoding"] == "gzip"


async def test_tags_and_vary_that_are_there(mesh: RunningMesh) -> None:
    _, fields, _ = await curl(mesh, "/weak", *taking("gzip"))
    assert fields["etag"] == 'W/"v1"'
    _, fields, _ = await curl(mesh, "/star", *taking("gzip"))
    assert (fields["vary"], fields["content-encoding"]) == ("*", "gzip")


@pytest.mark.parametrize("path", ["/small", "/image", "/coded", "/fixed", "/part", "/same", "/none"])
async def test_what_stays_as_it_is(mesh: RunningMesh, path: str) -> None:
    page = PAGES[path]
    status, fields, body = await curl(mesh, path, *taking("gzip", "br", "zstd"))
    assert (status, body) == (page.status, page.body)
    assert fields.get("content-encoding") == page.headers.get("content-encoding")
    assert fields.get("etag") == page.headers.get("etag")
    assert "vary" not in fields


async def test_an_error_page_is_a_page(mesh: RunningMesh) -> None:
    status, fields, body = await curl(mesh, "/missing", *taking("br"))
    assert (status, fields["content-encoding"], UNDO["br"](body)) == (404, "br", TEXT)


async def test_a_caller_that_forbids_transforms(mesh: RunningMesh) -> None:
    _, fields, body = await curl(mesh, "/", *taking("gzip"), "-H", "Cache-Control: no-transform")
    assert ("content-encoding" in fields, body) == (False, TEXT)


async def test_head_is_untouched(mesh: RunningMesh) -> None:
    status, fields, body = await curl(mesh, "/", "--head", *taking("gzip"))
    assert (status, body, "content-encoding" in fields) == (200, b"", False)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_who_writes_as_he_goes_is_read_as_he_goes(tmp_path: Path, coding: str) -> None:
    """Event by event: the second is written when the first has been read, through coding, filter and mesh."""
    read = trio.Event()

    async def live(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send_all(head + b"d\r\ndata: first\n\n\r\n")
        await read.wait()
        await stream.send_all(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")

    text = COMPOSE % ": {types: [text/event-stream]}"
    async with running_mesh(text, folder=tmp_path, handlers={"web": live}) as mesh:
        host, port = mesh.address("web")
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: web\r\nAccept-Encoding: %b\r\n\r\n" % coding.encode())
            data, seen = b"", b""
            with trio.fail_after(20):
                while b"second" not in seen:
                    data += await stream.receive_some()
                    seen = undo_all(data, coding)
                    if b"first" in seen:
                        read.set()
        assert b"content-encoding: %b" % coding.encode() in data


def undo_all(data: bytes, coding: str) -> bytes:
    """What can be read of an answer so far."""
    body = data.partition(b"\r\n\r\n")[2]
    payload = b"".join(re.findall(rb"(?s)[0-9a-f]+\r\n(.*?)\r\n(?=[0-9a-f]+\r\n|$)", body))
    if coding == "gzip":
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(payload)
    if coding == "br":
        return bytes(brotli.Decompressor().process(payload))
    return zstandard.ZstdDecompressor().decompressobj().decompress(payload) if payload else b""


async def test_settings_that_cannot_be_are_told_at_their_line(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as rejected:
        async with running_mesh(COMPOSE % ": {level: extreme}", folder=tmp_path):
            pass
    assert "compose.yaml:1" in str(rejected.value)
    assert '`filters[0].compress.level` is "extreme", and must be fast, balanced or best.' in str(rejected.value)


async def test_it_keeps_its_contract() -> None:
    await check_filter(lambda: Compress(Compress.Config()))
