"""A caller's end with body hooks in between: payloads go through them as they come, at the pace of whoever reads.

A body of which a hook has seen a piece can't go on without it. So what a body hook raises ends the exchange, whatever
is said of failures elsewhere; once the answer has begun, the client sees it cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.proxy.between import Between
from composemesh.proxy.codec.parts import CHUNKED, HTTP2, STREAMED, ResponseHead
from composemesh.proxy.headers import without_length
from composemesh.proxy.refuse import Cut, Refused

if TYPE_CHECKING:
    from composemesh.proxy.chain.hooks import Bound
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.exchange import Downstream, Exchange

_LENGTH = b"content-length"


class Way:
    """One direction, with the hooks that have a say in it."""

    __slots__ = ("_hooks", "_x")

    def __init__(self, x: Exchange, hooks: tuple[Bound, ...]) -> None:
        self._x = x
        assert x.view is not None, "the chain has made one"
        kept = x.view.kept
        self._hooks = hooks if kept is None else tuple(hook for hook in hooks if hook.stage.filter not in kept)

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def piece(self, data: bytes, *, last: bool) -> bytes:
        """What goes on in the place of the next piece. Raises Refused."""
        for hook, stage in self._hooks:
            try:
                out = b""
                if data:
                    out = hook(self._x.view, data)
                if last:
                    out += hook(self._x.view, b"")
                if not isinstance(out, bytes):
                    raise TypeError(f"a body hook returned {type(out).__name__}, and must return bytes")
            except (Exception, SystemExit) as problem:
                stage.caught(problem, self._x, fatal=True)
            data = out
        return data

    def count(self, more: int) -> None:
        """So many bytes more are sent than came."""
        self._x.record.bytes_sent += more


class FilteredDownstream(Between):
    """What goes through it is the caller's on one side, and what filters make of it on the other."""

    __slots__ = ("_answer", "_answers", "_asks", "_request")

    def __init__(self, x: Exchange, down: Downstream, asks: tuple[Bound, ...], answers: tuple[Bound, ...]) -> None:
        super().__init__(down)
        self._asks = asks
        self._answers = answers
        self._request: Way | None = None
        self._answer: Way | None = None

    def take(self, x: Exchange) -> None:
        """Have the hooks see what has come of the request's body, if it has one. Raises Refused."""
        head = x.head
        way = Way(x, self._asks)
        if not way or (x.whole and not x.body) or head.upgrade or head.is_connect:
            return
        x.body = way.piece(x.body, last=x.whole)
        head.fields, head.values = without_length(head.fields), {**head.values}
        head.values.pop(_LENGTH, None)
        if x.whole:
            length = b"%d" % len(x.body)
            head.fields.append((_LENGTH, length))
            head.values[_LENGTH] = length
            head.body = len(x.body)
        else:
            head.body = STREAMED if head.version == HTTP2 else CHUNKED
            self._request = way

    async def read(self, x: Exchange) -> bytes:
        way = self._request
        if way is None:
            return await self._down.read(x)
        while payload := await self._down.read(x):
            data = self._piece(x, way, payload)
            if data:
                return data
        if x.ended and way is self._request:
            return self._piece(x, way, b"")
        return b""

    def _piece(self, x: Exchange, way: Way, payload: bytes) -> bytes:
        """With what comes at the end, where this is it: whoever repeats the request takes it for whole from here."""
        if x.ended:
            self._request = None
        data = way.piece(payload, last=x.ended)
        x.record.bytes_received += len(payload) - len(data)
        return data

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        assert x.view is not None, "the chain has made one"
        none = x.head.method == b"HEAD" or head.status in (204, 304) or head.body == 0
        way = Way(x, self._answers)
        if none or not way or x.view.refused:
            await self._down.respond(x, head, fields, payload, ended)
            return
        data = way.piece(payload, last=ended)
        x.record.bytes_sent += len(data) - len(payload)
        fields, values = without_length(fields), {**head.values}
        values.pop(_LENGTH, None)
        if ended:
            values[_LENGTH] = b"%d" % len(data)
            fields.append((_LENGTH, values[_LENGTH]))
        else:
            self._answer = way
        length = len(data) if ended else min(head.body, CHUNKED)
        head = ResponseHead(
            head.status, head.reason, head.version, head.fields, values, length, head.keep_alive, head.upgrade
        )
        await self._down.respond(x, head, fields, data, ended)

    async def send(self, payload: bytes) -> None:
        data = payload if self._answer is None else self._sent(self._answer, payload, last=False)
        if data:
            await self._down.send(data)

    async def finish(self, trailers: Fields) -> None:
        if self._answer is not None:
            data = self._sent(self._answer, b"", last=True)
            if data:
                await self._down.send(data)
        await self._down.finish(trailers)

    def _sent(self, way: Way, payload: bytes, *, last: bool) -> bytes:
        try:
            data = way.piece(payload, last=last)
        except Refused as refused:
            raise Cut(refused.flag) from None
        way.count(len(data) - len(payload))
        return data
