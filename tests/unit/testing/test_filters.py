"""`check_filter`: the built-in filter passes it, and each way to break the contract is told from the others."""

from __future__ import annotations

import time
import zlib
from typing import Any

import pytest
import trio
import trio.lowlevel

from composemesh.builtin import FILTERS
from composemesh.plugin import Exchange, Then
from composemesh.proxy.filters.header_filter import HeaderFilter, Operations
from composemesh.proxy.refuse import Reply
from composemesh.testing import Broken, MemoryExchange, check_filter


@pytest.mark.parametrize(
    "config",
    [
        HeaderFilter.Config(request=Operations(set={"x-a": "b"}, remove=("cookie",))),
        HeaderFilter.Config(response=Operations(add={"x-a": "b"})),
    ],
)
async def test_the_headers_filter_passes(config: Any) -> None:
    await check_filter(lambda: HeaderFilter(config))


def test_every_built_in_filter_is_tested() -> None:
    assert set(FILTERS) == {"headers"}


class Stamp:
    """Has every plain hook, and keeps its contract."""

    def on_request(self, x: Exchange) -> None:
        if x.path.endswith("/forbidden"):
            raise Reply(403)
        x.headers.set("x-stamp", str(len(x.path)))

    def on_response(self, x: Exchange) -> None:
        x.response_headers.remove("server")

    def on_request_body(self, x: Exchange, data: bytes) -> bytes:
        return data.upper()

    def on_response_body(self, x: Exchange, data: bytes) -> bytes:
        squeeze = x.state.setdefault(self, zlib.compressobj())
        return bytes(squeeze.compress(data) if data else squeeze.flush())


class Limit:
    """One request at a time, and nobody while it is closed."""

    def __init__(self) -> None:
        self.limit = trio.CapacityLimiter(1)

    async def around(self, x: Exchange, then: Then) -> None:
        async with self.limit:
            await then()


class Answering:
    async def around(self, x: Exchange, then: Then) -> None:
        raise Reply(503)


class GrpcOnly:
    """Answers everything but gRPC by itself."""

    async def around(self, x: Exchange, then: Then) -> None:
        if not x.is_grpc:
            raise Reply(415)
        await then()


class Few:
    """Lets two requests pass, and answers all others."""

    def __init__(self) -> None:
        self.left = 2

    async def around(self, x: Exchange, then: Then) -> None:
        if not self.left:
            raise Reply(429)
        self.left -= 1
        await then()


class Prefixing:
    """Asks for what is below another path."""

    def on_request(self, x: Exchange) -> None:
        if x.path.startswith("/"):
            x.path = "/v1" + x.path


class Hookless:
    def on_reqest(self, x: Exchange) -> None:
        pass


class Waiting:
    async def on_request(self, x: Exchange) -> None:
        await trio.lowlevel.checkpoint()


class Fragile:
    def on_request(self, x: Exchange) -> None:
        x.headers.get("authorization").split()[1]


class Misleading:
    def on_request(self, x: Exchange) -> None:
        x.path = x.path.removeprefix("/")


class Asking:
    def on_response(self, x: Exchange) -> None:
        int(x.response_headers.get("content-length"))


class Textual:
    def on_response_body(self, x: Exchange, data: bytes) -> bytes:
        return data.decode()  # type: ignore[return-value]


class Forgetful:
    def on_response_body(self, x: Exchange, data: bytes) -> bytes:
        return data or None  # type: ignore[return-value]


class Shared:
    """Keeps what belongs to one exchange in itself."""

    def __init__(self) -> None:
        self.kept = b""

    def on_request_body(self, x: Exchange, data: bytes) -> bytes:
        if data:
            self.kept += data
            return b""
        kept, self.kept = self.kept, b""
        return kept


class Slow:
    def on_request(self, x: Exchange) -> None:
        began = time.process_time()
        while time.process_time() - began < 0.0001:
            pass


class Twice:
    async def around(self, x: Exchange, then: Then) -> None:
        await then()
        await then()


class Never:
    async def around(self, x: Exchange, then: Then) -> None:
        pass


class Silencing:
    async def around(self, x: Exchange, then: Then) -> None:
        try:
            await then()
        except Exception:
            pass


class SilencingOthers:
    """Answers gRPC by itself, and silences what all others run into."""

    async def around(self, x: Exchange, then: Then) -> None:
        if x.is_grpc:
            raise Reply(503)
        try:
            await then()
        except Exception:
            pass


class Wrapping:
    async def around(self, x: Exchange, then: Then) -> None:
        try:
            await then()
        except Exception:
            raise RuntimeError("it did not work") from None


class Holding:
    async def around(self, x: Exchange, then: Then) -> None:
        await trio.sleep_forever()


class Blocking:
    async def around(self, x: Exchange, then: Then) -> None:
        time.sleep(0.15 if x.path == "/" and x.method == "GET" and not list(x.headers) else 0)
        await then()


class Stubborn:
    async def around(self, x: Exchange, then: Then) -> None:
        try:
            await then()
        except trio.Cancelled:
            raise OSError("not now") from None


@pytest.mark.parametrize("made", [Stamp, Limit, Answering, GrpcOnly, Few, Prefixing])
async def test_a_filter_that_keeps_its_contract_passes(made: Any) -> None:
    await check_filter(made)


@pytest.mark.parametrize(
    ("made", "seen", "instead"),
    [
        (Hookless, "has no hook at all", "on_request, on_response"),
        (Waiting, "its on_request is a coroutine function", "Waiting is for `around`"),
        (Fragile, "raised IndexError", "or raise Reply"),
        (Misleading, "is no path that can be asked for", "or raise Reply"),
        (Asking, "raised ValueError", "or raise Reply"),
        (Textual, "returned '{' from on_response_body", "Return the bytes"),
        (Forgetful, "returned None from on_response_body", "Return the bytes"),
        (Shared, "mixed up two exchanges", "x.state[self]"),
        (Slow, "for the heads of an exchange, and 50 are allowed", "Prepare in __init__"),
        (Twice, "called then() 2 times", "Call it once"),
        (Never, "called then() 0 times", "or raise Reply before"),
        (Silencing, "kept what then() raised to itself", "let it pass"),
        (SilencingOthers, "kept what then() raised to itself", "let it pass"),
        (Wrapping, "raised RuntimeError('it did not work')", "let it pass"),
        (Holding, "for 0.2 s", "has a bound"),
        (Blocking, "kept everybody else from running", "no time.sleep"),
        (Stubborn, "answered its cancellation with OSError", "raise nothing there"),
    ],
)
async def test_a_broken_one_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, made: Any, seen: str, instead: str
) -> None:
    monkeypatch.setattr("composemesh.testing.filters.PATIENCE", 0.2 if made is Holding else 5.0)
    with pytest.raises(Broken) as broken:
        await check_filter(made)
    assert seen in str(broken.value)
    assert instead in str(broken.value)


def test_an_exchange_in_memory_is_what_filters_see() -> None:
    x = MemoryExchange("/a", [("Accept", "a"), ("accept", "b")], method="POST")
    assert (x.headers.get("accept"), x.headers.all("ACCEPT"), x.status) == ("a, b", ["a", "b"], 0)
    x.headers.set("accept", "c")
    assert list(x.headers) == [("accept", "c")]
    with pytest.raises(ValueError, match="content-length"):
        x.headers.set("content-length", "3")
    x.answered(201, {"server": "x"})
    x.response_headers.remove("server")
    assert (x.status, list(x.response_headers)) == (201, [])


@pytest.mark.parametrize("path", ["", "*", "no slash", "/a b", "/a\n", "/a#b", "/\xff"])
def test_its_path_is_as_strict_as_the_real_one(path: str) -> None:
    x = MemoryExchange("/a")
    with pytest.raises(ValueError, match="no path that can be asked for instead of '/a'"):
        x.path = path
    assert x.path == "/a"
    x.path = "/b?c=\u20ac"
    assert x.path == "/b?c=?"


def test_its_path_stays_where_none_was_asked_for() -> None:
    x = MemoryExchange("*", method="OPTIONS")
    with pytest.raises(ValueError, match="instead of '\\*'"):
        x.path = "/"
