"""The conformance suite of filters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import trio
import trio.lowlevel

from composemesh.proxy.chain.hooks import check_hooks
from composemesh.proxy.refuse import Reply
from composemesh.runtime.failures import Mistaken
from composemesh.testing.broken import Broken, same_object
from composemesh.testing.exchange import MemoryExchange
from composemesh.testing.watch import LONGEST_PAUSE, PATIENCE, attempt, best_pause, stop

HOOKS = ("on_request", "on_response", "on_request_body", "on_response_body", "around")
REPEATED = 1000
"""Exchanges by which the time of one is measured."""
PIECES = (b"", b"{", b'"stars": [5, 4]', b"}" * 100, bytes(range(256)) * 256, b"x")
"""Of a body, as a network may cut it."""

_PATHS = ("/", "/a?b=c&b=d", "/%00%0d%0a", "/" + "x" * 8000, "/%ff%80", "//../..;/")
_VALUES = ("", " ", "a", "\xff\x80", '"', "a, b;q=0.1", "x" * 8000, "gzip;q=nan, *;q=-1", "text/html; charset=\xff")
_NAMES = (
    *("accept", "accept-encoding", "authorization", "cache-control", "content-encoding", "content-length"),
    *("content-type", "cookie", "host", "range", "set-cookie", "vary", "x-unheard-of"),
)


async def check_filter(make: Callable[[], Any], *, microseconds: float = 50.0) -> None:
    """Test that a filter keeps its contract. `make` makes one; it is called for each step.

    The steps: it has hooks, and they are of the right kind; they take any request and any answer that the mesh lets
    through, raising Reply at most; body hooks give bytes for pieces of any size, and keep exchanges apart that go on
    at the same time; `around` calls `then()` once or raises Reply, lets pass what `then()` raises, and ends when it
    is cancelled; nothing blocks the loop; and heads cost `microseconds` of CPU time at most.

    Raises Broken, an AssertionError that says what was seen and what to do.
    """
    same_object(make(), make(), "check_filter")
    _has_hooks(make())
    made = make()
    for x in _exchanges():
        _heads(made, x)
    for hook in ("on_request_body", "on_response_body"):
        _bodies(make, hook)
    if hasattr(made, "around"):
        await _goes_around(make)
    await _is_quick(make, microseconds)


def _has_hooks(made: object) -> None:
    if not any(hasattr(made, name) for name in HOOKS):
        raise Broken(made, "has no hook at all.", f"Write one or more of {', '.join(HOOKS)}.")
    try:
        check_hooks(made)
    except Mistaken as problem:
        raise Broken(
            made, f"cannot be used: {problem}.", "Waiting is for `around`; the others must be quick."
        ) from None


def _exchanges() -> Iterator[MemoryExchange]:
    """Requests and answers as they may come."""
    for path in _PATHS:
        yield MemoryExchange(path)
    for method in ("POST", "HEAD", "OPTIONS", "CONNECT", "M-SEARCH"):
        yield MemoryExchange("*" if method == "OPTIONS" else "/", method=method, authority="")
    for value in _VALUES:
        yield MemoryExchange("/", [(name, value) for name in _NAMES for _ in range(2)], http_version=20)
    yield MemoryExchange("/shop.Reviews/List", {"content-type": "application/grpc"}, is_grpc=True, http_version=20)


def _exchange(number: int) -> MemoryExchange:
    """One of them, as it came."""
    return next(islice(_exchanges(), number, None))


def _heads(made: Any, x: MemoryExchange) -> None:
    """The hooks of heads, for one exchange with a few answers."""
    request = tuple(x.headers)
    if _call(made, "on_request", x):
        return
    for status, headers in ((200, request), (204, ()), (304, request), (101, ()), (503, ()), (200, ())):
        x.answered(status, headers)
        _call(made, "on_response", x)


def _call(made: Any, hook: str, x: MemoryExchange, *given: bytes) -> Any:
    """What a hook returns; True where it ended the exchange itself. Raises Broken for what it may not raise."""
    function = getattr(made, hook, None)
    if function is None:
        return None
    try:
        return function(x, *given)
    except Reply:
        return True
    except Exception as problem:
        raise Broken(
            made,
            f"raised {problem!r} in {hook} of {x!r} with {dict(x.headers)!r:.200}.",
            "Callers choose paths and headers, and applications their answers: take what is there, or raise Reply. "
            "Anything else fails the request.",
        ) from problem


def _bodies(make: Callable[[], Any], hook: str) -> None:
    if not hasattr(make(), hook):
        return
    alone = [_body(make(), hook, [piece * (number + 1) for piece in PIECES]) for number in range(2)]
    made = make()
    whole = b"".join(PIECES)
    for size in (1, 100, 1 << 16):
        _body(made, hook, [whole[at : at + size] for at in range(0, len(whole) if size > 1 else 300, size)])
    _body(made, hook, [])
    shared = make()
    both = [_started(shared, hook) for _ in range(2)]
    outs: list[list[bytes]] = [[], []]
    for piece in PIECES:
        for number, x in enumerate(both):
            outs[number].append(_piece(shared, hook, x, piece * (number + 1)))
    for number, x in enumerate(both):
        outs[number].append(_piece(shared, hook, x, b"", last=True))
    again = [_body(make(), hook, [piece * (number + 1) for piece in PIECES]) for number in range(2)]
    if alone == again and [b"".join(out) for out in outs] != alone:
        raise Broken(
            shared,
            f"mixed up two exchanges that went on at the same time, in {hook}.",
            "One instance serves all exchanges: keep what belongs to one in `x.state[self]`.",
        )


def _started(made: Any, hook: str) -> MemoryExchange:
    """An exchange whose body comes next."""
    headers = {"accept-encoding": "gzip, br, zstd", "content-type": "application/json"}
    x = MemoryExchange("/", headers, method="POST")
    _call(made, "on_request", x)
    if hook == "on_response_body":
        x.answered(200, {"content-type": "application/json"})
        _call(made, "on_response", x)
    return x


def _body(made: Any, hook: str, pieces: list[bytes]) -> bytes:
    x = _started(made, hook)
    return b"".join([*(_piece(made, hook, x, piece) for piece in pieces), _piece(made, hook, x, b"", last=True)])


def _piece(made: Any, hook: str, x: MemoryExchange, data: bytes, *, last: bool = False) -> bytes:
    if x.body_is_kept or not (data or last):
        return data  # an empty piece is the end, and comes only there
    out = _call(made, hook, x, data)
    if out is True:
        return b""
    if not isinstance(out, bytes):
        raise Broken(
            made,
            f"returned {out!r:.60} from {hook}.",
            'Return the bytes that go on in the place of the piece, b"" for none.',
        )
    return out


class _Trouble(Exception):
    """What goes wrong on the rest of the way."""


async def _goes_around(make: Callable[[], Any]) -> None:
    calls = 0

    async def then() -> None:
        nonlocal calls
        calls += 1
        await trio.lowlevel.checkpoint()

    async def fail() -> None:
        raise _Trouble

    made = make()
    passed: int | None = None
    for number, x in enumerate(_exchanges()):
        calls = 0
        async with attempt(lambda x=x: made.around(x, then)) as running:  # type: ignore[misc]
            with trio.move_on_after(PATIENCE):
                await running.ended.wait()
            ended = running.ended.is_set()
        replied = isinstance(running.problem, Reply)
        if not ended:
            raise Broken(
                made, f"held {x!r} for {PATIENCE:g} s.", "Its time outside then() has a bound, 10 s at most."
            )
        if running.problem is not None and not replied:
            raise Broken(
                made,
                f"raised {running.problem!r} in around of {x!r}.",
                "Take what callers send, or raise Reply. Anything else fails the request.",
            ) from running.problem
        if calls != (0 if replied else 1):
            raise Broken(
                made,
                f"called then() {calls} times for {x!r}{' and raised Reply' if replied else ''}.",
                "Call it once, or raise Reply before: the request is sent when you call it, and not again.",
            )
        if passed is None and not replied:
            passed = number
    if passed is None:
        return  # a filter that answers by itself has no rest of the way
    made, x = make(), _exchange(passed)
    async with attempt(lambda: made.around(x, fail)) as running:
        await running.ended.wait()
    if not isinstance(running.problem, _Trouble):
        raise Broken(
            made,
            f"kept what then() raised to itself{f', and raised {running.problem!r}' if running.problem else ''}.",
            "Clean up in `finally` and let it pass: it says why the request failed.",
        )
    made, x = make(), _exchange(passed)
    async with attempt(lambda: made.around(x, trio.sleep_forever)) as running:
        await trio.lowlevel.checkpoint()
        await stop(running, made)


async def _is_quick(make: Callable[[], Any], microseconds: float) -> None:
    made = make()

    def heads() -> None:
        for _ in range(REPEATED):
            x = MemoryExchange("/reviews/1", {"accept": "*/*", "user-agent": "test"})
            if not _call(made, "on_request", x):
                x.answered(200, {"content-type": "text/html"})
                _call(made, "on_response", x)

    def nothing() -> None:
        for _ in range(REPEATED):
            MemoryExchange("/reviews/1", {"accept": "*/*", "user-agent": "test"}).answered(
                200, {"content-type": "text/html"}
            )

    best = min(_spent(heads) for _ in range(5)) - min(_spent(nothing) for _ in range(5))
    if best / REPEATED * 1e6 > microseconds:
        raise Broken(
            made,
            f"took {best / REPEATED * 1e6:.0f} µs of CPU time for the heads of an exchange, and {microseconds:g} are "
            "allowed.",
            "Prepare in __init__ what is the same for all, or say check_filter(…, microseconds=N) if it is worth it.",
        )
    if hasattr(made, "around"):

        async def once() -> None:
            try:
                await make().around(MemoryExchange(), trio.lowlevel.checkpoint)
            except Reply:
                pass

        pause = await best_pause(once)
        if pause > LONGEST_PAUSE:
            raise Broken(
                made,
                f"kept everybody else from running for {pause:.2f} s.",
                "The mesh serves all requests on the same thread: no time.sleep, no blocking socket or file. Use "
                "trio's, or await trio.to_thread.run_sync(…).",
            )


def _spent(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
