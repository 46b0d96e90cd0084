"""THE FAST LANE. A plain exchange in two plain functions, called by the reactor when the sockets have something.

What it spares is the task: to be put aside and taken up twice, and to go a dozen coroutines down to the socket and
back. It decides nothing of its own: what is written down, what is sent and where to is asked of the functions that
the spine asks (`opened`, `direct`, `outgoing`, `attempt`, `returning`, `tell`).

The lane takes an exchange while all it needs is at hand: a whole request and nothing behind it, rules that only
choose where it goes and change its fields, a place that no policy speaks of, a connection there that waits, an answer
that is whole. At the first thing that is not so, the connection's task takes over: before anything was decided with
the bytes of the request, afterwards with the exchange, which `resume` continues. It is also the task that is
cancelled, and it takes over for that too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import outcome
import trio

from composemesh.model.snapshot import Protocol
from composemesh.proxy.answer import returning
from composemesh.proxy.codec.h1 import parse_request
from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.exchange import Begun, Exchange
from composemesh.proxy.forward import attempt, outgoing
from composemesh.proxy.headers import without_length
from composemesh.proxy.refuse import Refused
from composemesh.proxy.retry import SAFE
from composemesh.proxy.route import direct
from composemesh.proxy.serve import opened, tell
from composemesh.proxy.woken import WOKEN

if TYPE_CHECKING:
    from composemesh.proxy.chain.hooks import Chain
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.downstream.h1 import Http1Downstream
    from composemesh.proxy.pool import Pool
    from composemesh.proxy.upstream.h1 import Http1Upstream


class _UnderWay:
    """The exchange on a lane: its request has gone, its answer is awaited."""

    __slots__ = ("fields", "target", "up", "x")

    def __init__(self, x: Exchange, target: Target, up: Http1Upstream, fields: Fields) -> None:
        self.x = x
        self.target = target
        self.up = up
        self.fields = fields


class Lane:
    """The lane of one connection."""

    __slots__ = ("_connection", "_data", "_down", "_exchange", "_open", "_task", "_under_way", "_wire")

    def __init__(self, down: Http1Downstream, connection: Connection) -> None:
        self._down = down
        self._connection = connection
        self._wire = connection.wire
        self._task: trio.lowlevel.Task | None = None
        """Who waits for what leaves the lane."""
        self._open = False
        """Whether nothing has left it since somebody began to wait."""
        self._exchange: Exchange | None = None
        self._data: bytes | None = b""
        """What has left it; None where the task is to read for itself."""
        self._under_way: _UnderWay | None = None

    def __repr__(self) -> str:
        return f"<Lane of {self._connection!r} {self._exchange!r}>"

    async def run(self) -> tuple[Exchange | None, bytes]:
        """Serve what fits. What doesn't is returned: the bytes of a request, or an exchange to `resume`; neither
        where the connection is to end. Raises OSError where the client has gone.

        If cancelled while an exchange is under way, that is returned: it ends as the task's next wait does.
        """
        wire, connection = self._wire, self._connection
        if not wire.plain or connection.unsure or self._down.edge is not None or not connection.reactor.quick:
            return None, await wire.receive()
        self._open = True
        wire.on_readable = self._asked
        if wire.readable:
            self._asked()
        if self._open:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._data is None:
            return None, await wire.receive()
        return self._exchange, self._data

    def _leave(self, exchange: Exchange | None, data: bytes | None) -> None:
        """The task goes on from here."""
        self._open = False
        self._wire.on_readable = None
        self._exchange, self._data = exchange, data
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task, WOKEN)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        if self._under_way is not None:
            self._give_up(self._under_way)
            return trio.lowlevel.Abort.FAILED
        self._wire.on_readable = self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _give_up(self, under_way: _UnderWay) -> None:
        """The answer is not for the lane."""
        x, up = under_way.x, under_way.up
        self._under_way = up.wire.on_readable = None
        x.begun = Begun(under_way.target, up, under_way.fields)
        self._leave(x, b"")

    def _fail(self, problem: Exception) -> None:
        """A bug that one peer has found must not end the reactor, which is everybody's."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.up.wire.on_readable = None  # which a close calls
            under_way.up.close()
            under_way.target.endpoint.active -= 1
            self._down.end()
            self._lost(under_way.x)
        self._wire.on_readable = None
        task, self._task = self._task, None
        if task is None:
            raise problem
        trio.lowlevel.reschedule(task, outcome.Error(problem))

    def _lost(self, x: Exchange) -> None:
        """A bug ends the exchange: its record says what the spine's would."""
        x.record.flag = self._down.why
        tell(x, self._down)

    def _asked(self) -> None:
        """The client's socket has something: a request, mostly."""
        wire = self._wire
        if wire.ended:
            self._leave(None, None)
            return
        try:
            data = wire.receive_now()
            if data is not None and not self._ask(data):
                self._leave(None, data)
        except OSError:
            self._leave(None, None)
        except Exception as problem:
            self._fail(problem)

    def _ask(self, data: bytes) -> bool:
        """Send a request on its way; false, and as if nothing had been, where it is not for the lane."""
        down = self._down
        cluster, limits = self._connection.cluster(), down.load.heads
        end = data.find(b"\r\n\r\n") + 4
        if not (_may_take(cluster, down.port) and 3 < end <= limits.head):
            return False
        everywhere = down.filters.everywhere
        if everywhere is not None and (cluster.rules is not None or not everywhere.light):
            return False
        try:
            head = parse_request(data[:end], limits)
            body, whole = down.take_body(head, data[end:])
        except Malformed:
            return False  # the task finds that out again, and says it
        if not whole or down.rest or head.upgrade or head.method == b"CONNECT":
            return False
        named = cluster.named(head.authority)
        if named is not cluster and not _may_take(named, down.port):
            return False
        most = down.load.limits.requests
        if most and down.load.requests >= most:
            return False
        x = opened(down, head, body, True, named)
        try:
            self._send(x, everywhere)
        except Exception:
            self._lost(x)
            raise
        return True

    def _send(self, x: Exchange, everywhere: Chain | None) -> None:
        """To where rules lead, or else where the client sent it; or have the task do so. A split is drawn once: what
        was decided stays decided."""
        down, rules = self._down, x.cluster.rules
        candidates = () if rules is None else rules.http(x.head.authority, down.port).candidates
        fits = rules is None or not candidates or (everywhere is None and direct(x, down, rules, candidates))
        cluster = x.cluster
        target = cluster.pick(x.port) if fits and _takes_all(cluster, x.port) else None
        if target is None:
            self._hand_over(x)
            return
        pool = target.pool(x.port)
        up = pool.checkout(repeatable=x.head.method in SAFE)
        if up is None:
            cluster.turn -= 1  # the task will pick, too
            self._hand_over(x)
            return
        try:
            self._send_over(up, x, target, pool, everywhere)
        except Exception:
            up.close()
            raise

    def _send_over(
        self, up: Http1Upstream, x: Exchange, target: Target, pool: Pool, everywhere: Chain | None
    ) -> None:
        """What may raise comes before what is counted, and before the task is given the exchange."""
        down, cluster = self._down, x.cluster
        if everywhere is not None or cluster.filters is not None:
            refused = self._filtered(x, everywhere, cluster.filters)
            if refused is not None:
                cluster.turn -= 1
                pool.checkin(up)
                down.begin(x.head, True)
                self._refused(x, refused)
                return
        fields = outgoing(x, down)
        if not _sends(up, up.request(x, fields)):
            cluster.turn -= 1
            self._hand_over(x)
            return
        attempt(x, target)
        down.begin(x.head, True)
        x.record.upstream_address = pool.address
        x.asked = time.monotonic()
        self._wire.on_readable = None
        self._under_way = _UnderWay(x, target, up, fields)
        up.wire.on_readable = self._answered

    def _hand_over(self, x: Exchange) -> None:
        """The task goes on with it, as rules and filters have left it: they must not see it twice."""
        self._down.begin(x.head, True)
        self._leave(x, b"")

    def _filtered(self, x: Exchange, *chains: Chain | None) -> Refused | None:
        """Have filters see the request; what one of them says that wants it to end here."""
        try:
            for chain in chains:
                if chain is not None:
                    chain.enter(x, self._down)
        except Refused as refused:
            return refused
        assert x.view is not None, "the chain has made one"
        x.view.complete = True
        return None

    def _refused(self, x: Exchange, refused: Refused) -> None:
        """The task is to say it."""
        assert x.view is not None, "nobody else refuses anything here"
        x.view.refusal = refused
        self._leave(x, b"")

    def _answered(self) -> None:
        """The upstream's socket has something: the answer, mostly."""
        under_way = self._under_way
        assert under_way is not None, "who calls this waits for an answer"
        wire = under_way.up.wire
        if wire.ended:
            self._give_up(under_way)
            return
        try:
            data = wire.receive_now()
            if data is not None:
                self._answer(under_way, data)
        except OSError:
            self._give_up(under_way)
        except Exception as problem:
            self._fail(problem)

    def _answer(self, under_way: _UnderWay, data: bytes) -> None:
        """Pass an answer on, if it is whole."""
        x, up, down, wire = under_way.x, under_way.up, self._down, self._wire
        found = up.whole_answer(x, data)
        if found is None:
            self._give_up(under_way)
            return
        head, payload = found
        up.wire.on_readable = None
        fields = returning(x, head)
        if x.course is not None:
            fields = x.course.respond(fields)
        if x.view is not None:
            try:
                fields = x.view.answered(head, fields)
            except Refused as refused:
                self._under_way = None
                up.release(x)
                under_way.target.endpoint.active -= 1
                self._refused(x, refused)
                return
        if head.status == 204:
            fields = without_length(fields)
        x.record.bytes_sent = len(payload)
        out = down.response(x, head, fields, payload, True)
        try:
            sent = wire.send_now(out)
        except OSError:
            sent = 0  # as the task will find out
        self._under_way = None
        up.release(x)
        under_way.target.endpoint.active -= 1
        if sent < len(out):
            x.unsent = out[sent:]
            self._leave(x, b"")
            return
        tell(x, down)
        down.end()
        if not down.keep:
            self._leave(None, b"")
            return
        self._connection.idle()
        wire.on_readable = self._asked
        if wire.readable:
            self._asked()


def _may_take(cluster: Cluster, port: int) -> bool:
    """Whether what is sent here may be for the lane, as far as can be told before it has been read."""
    return _takes_all(cluster, port) if cluster.rules is None else cluster.rules.plain(port)


def _takes_all(cluster: Cluster, port: int) -> bool:
    """Whether no policy has a say in what is sent here, and no filter that may have to be waited for."""
    return (
        cluster.policies is None
        and (cluster.filters is None or cluster.filters.light)
        and cluster.spoken.declared.get(port) is not Protocol.GRPC_WEB
    )


def _sends(up: Http1Upstream, message: bytes) -> bool:
    """Send a request, all of it. Half of one is no request to any server: then the connection is closed."""
    try:
        sent = up.wire.send_now(message)
    except OSError:
        sent = 0
    if sent < len(message):
        up.close()
    return sent == len(message)
