"""Other people's clients at a gateway: curl, openssl s_client, Python's own ssl, grpcio."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent import futures
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.gateway import TlsMode, TlsSettings
from mesh.gateways import AUTO, ROOT, app, client, free_port, gateway, http, https, open_up, route
from mesh.net import AUTHORITY, PORT, Net

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def root(tmp_path: Path) -> str:
    """The file that `composemesh ca --out` writes."""
    file = tmp_path / "root.pem"
    file.write_text(ROOT)
    return str(file)


async def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(20):
        return await trio.run_process(list(command), capture_stdout=True, capture_stderr=True, check=False)


async def shop(net: Net, *, tls: TlsSettings = AUTO, seen: list[bytes] | None = None) -> int:
    port = free_port()
    await app(net, "shop", b"welcome", seen)
    await open_up(net, gateway(https(port, tls=tls)), routes=[route("*", "shop")])
    return port


@needs_curl
@pytest.mark.parametrize(
    ("options", "version"),
    [
        (["--http1.1"], b"1.1"),
        (["--http2"], b"2"),
        (["--http2", "--tls-max", "1.2"], b"2"),
        (["--http1.1", "--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256", "--tlsv1.3"], b"1.1"),
    ],
)
async def test_curl_trusts_the_root_and_is_served(net: Net, root: str, options: list[str], version: bytes) -> None:
    port = await shop(net)
    url = f"https://shop.localhost:{port}/"
    answer = await run("curl", "-sS", "--cacert", root, *options, "-w", " %{http_version}", url)
    assert answer.stdout == b"welcome " + version, answer.stderr


@needs_curl
async def test_curl_by_address(net: Net, root: str) -> None:
    port = await shop(net)
    answer = await run("curl", "-sS", "--cacert", root, f"https://127.0.0.1:{port}/")
    assert answer.stdout == b"welcome", answer.stderr


@needs_curl
async def test_curl_does_not_trust_without_the_root(net: Net) -> None:
    port = await shop(net)
    answer = await run("curl", "-sS", f"https://shop.localhost:{port}/")
    assert answer.returncode == 60
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR


@needs_curl
async def test_curl_follows_the_redirect(net: Net, root: str) -> None:
    clear, encrypted, seen = free_port(), free_port(), list[bytes]()
    await app(net, "shop", b"welcome", seen)
    servers = http(clear, tls=TlsSettings(https_redirect=True)), https(encrypted)
    await open_up(net, gateway(*servers), routes=[route("*", "shop")])
    url = f"http://shop.localhost:{clear}/cart?x=1"
    answer = await run("curl", "-sSL", "--cacert", root, "-w", " %{url_effective}", url)
    assert answer.stdout == b"welcome https://shop.localhost:%d/cart?x=1" % encrypted, answer.stderr
    assert seen[0].startswith(b"GET /cart?x=1 ")


@needs_curl
async def test_curl_with_a_certificate_of_its_own(net: Net, root: str, tmp_path: Path) -> None:
    port = await shop(net, tls=TlsSettings(TlsMode.MUTUAL))
    leaf = AUTHORITY.issue(["spiffe://cluster.local/ns/test/sa/me"], datetime.now(UTC))
    (tmp_path / "me.pem").write_bytes(leaf.chain + leaf.key)
    url = f"https://shop.localhost:{port}/"
    answer = await run("curl", "-sS", "--cacert", root, "--cert", str(tmp_path / "me.pem"), url)
    assert answer.stdout == b"welcome", answer.stderr
    refused = await run("curl", "-sS", "--cacert", root, url)
    assert refused.returncode != 0
    assert refused.stdout == b""


@needs_curl
async def test_curl_sends_and_gets_much(net: Net, root: str, tmp_path: Path) -> None:
    """Ten megabytes each way, through TLS, in both versions of HTTP."""
    port = free_port()
    echo = net.add("echo")

    async def answer(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(lines[b"content-length"])
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        while length:
            await stream.send_all(body)
            length -= len(body)
            body = await stream.receive_some(65536) if length else b""

    await net.serve(echo, answer)
    await open_up(net, gateway(https(port)), routes=[route("*", "echo")])
    (tmp_path / "much").write_bytes(bytes(range(256)) * 40_000)
    for version in ("--http1.1", "--http2"):
        got = tmp_path / "got"
        url = f"https://shop.localhost:{port}/"
        command = ["curl", "-sS", "--cacert", root, version, "-T", str(tmp_path / "much"), "-o", str(got), url]
        result = await run(*command)
        assert result.returncode == 0, result.stderr
        assert got.read_bytes() == (tmp_path / "much").read_bytes()


class OpenSsl:
    """`openssl s_client`, of which letters at the beginning of what it reads are commands."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = b""

    async def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(line)

    async def hear(self, words: bytes) -> None:
        """Read until it, or the server, has said so."""
        assert self.process.stdout is not None
        with trio.fail_after(10):
            while words not in self.said:
                more = await self.process.stdout.receive_some()
                assert more, self.said
                self.said += more


async def s_client(nursery: trio.Nursery, port: int, root: str, *options: str) -> OpenSsl:
    connect = ["-connect", f"127.0.0.1:{port}", "-servername", "shop.localhost"]
    verify = ["-CAfile", root, "-verify_return_error", "-verify_hostname", "shop.localhost"]
    command = ["openssl", "s_client", *connect, *verify, *options]
    pipe = subprocess.PIPE

    async def start(task_status: trio.TaskStatus[trio.Process]) -> None:
        await trio.run_process(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, check=False, task_status=task_status
        )

    return OpenSsl(await nursery.start(start))


@needs_openssl
async def test_openssl_updates_its_keys(net: Net, root: str) -> None:
    port = await shop(net)
    async with trio.open_nursery() as nursery:
        openssl = await s_client(nursery, port, root, "-tls1_3")
        await openssl.hear(b"Verify return code: 0 (ok)")
        for _ in range(3):
            await openssl.say(b"K\n")  # and asks for ours
            await openssl.hear(b"KEYUPDATE")
            openssl.said = b""
            await openssl.say(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
            await openssl.hear(b"welcome")
        nursery.cancel_scope.cancel()


@needs_openssl
async def test_openssl_may_not_renegotiate(net: Net, root: str) -> None:
    """In TLS 1.2 each renegotiation would cost the server a handshake, for a few bytes of the client's."""
    port = await shop(net)
    async with trio.open_nursery() as nursery:
        openssl = await s_client(nursery, port, root, "-tls1_2")
        await openssl.hear(b"Verify return code: 0 (ok)")
        await openssl.say(b"R\n")
        await openssl.hear(b"no renegotiation")
        nursery.cancel_scope.cancel()


@needs_openssl
@pytest.mark.parametrize("old", ["-tls1", "-tls1_1"])
async def test_openssl_is_refused_what_is_old(net: Net, root: str, old: str) -> None:
    port = await shop(net)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", old, "-cipher", "ALL:@SECLEVEL=0"]
    answer = await run(*command)
    assert answer.returncode != 0
    assert b"Cipher is (NONE)" in answer.stdout
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR


async def test_pythons_own_client(net: Net) -> None:
    port = await shop(net)

    def visit() -> tuple[str | None, bytes]:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            client().wrap_socket(plain, server_hostname="shop.localhost") as stream,
        ):
            stream.sendall(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n")
            data = b""
            while more := stream.recv(65536):  # raises where the end is no close_notify
                data += more
            return stream.version(), data

    context = client()
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
    version, data = await trio.to_thread.run_sync(visit)
    assert version == "TLSv1.3"
    assert data.endswith(b"welcome")


async def test_grpcio_over_tls(net: Net) -> None:
    """HTTP/2 all the way: unary, a stream each way, and a status."""
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed (extra `test`)")

    def shout(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            if request == b"stop":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
            yield request.upper()

    talker = net.add("talker")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {"Shout": grpc.stream_stream_rpc_method_handler(shout)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Talker", handlers),))
    server.add_insecure_port(f"{talker.addresses[0]}:{PORT}")
    server.start()
    net.listening[talker.addresses[0]] |= {PORT}
    port = free_port()
    await open_up(net, gateway(https(port)), routes=[route("*", "talker")])

    def talk() -> tuple[list[bytes], object]:
        names = [("grpc.ssl_target_name_override", "talker.localhost")]
        credentials = grpc.ssl_channel_credentials(ROOT.encode())
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=names) as channel:
            call = channel.stream_stream("/test.Talker/Shout")
            said = list(call(iter([b"one", b"x" * 100_000]), timeout=10))
            with pytest.raises(grpc.RpcError) as problem:
                list(call(iter([b"stop"]), timeout=10))
            return said, problem.value.code()

    try:
        said, code = await trio.to_thread.run_sync(talk)
    finally:
        server.stop(None).wait()
    assert said == [b"ONE", b"X" * 100_000]
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    record = await net.records.next(2)
    assert (record.protocol, record.source.service, record.grpc_status) == ("grpc", "web", 8)
