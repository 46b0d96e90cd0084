"""The fast lane: exchanges that need nothing but what is at hand, driven by the reactor without waking a task.

Most requests are like that. They arrive whole in one read; an idle connection to an endpoint stands ready; the answer
arrives whole in one read. Two wake-ups of the connection's task, with all that a scheduler does for each, are then
most of what can be saved: the reactor calls back when the request has come, and when the answer has.

Every decision is the spine's own function: parse, begin, pick, checkout, shape, encode, tell. Whatever is not plain
(bodies to come, retries, interim answers, upgrades, a full socket) is handed to the task, together with what has been
read so far, and takes the structured path from there: bytes and records are the same (tests run both ways).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog
import trio

from composemesh.model.flag import Flag
from composemesh.proxy.codec.h1 import parse_request, parse_response
from composemesh.proxy.codec.parts import LIMITS, Malformed
from composemesh.proxy.exchange import Downstream
from composemesh.proxy.forward import Begun, shaped
from composemesh.proxy.headers import response_fields
from composemesh.proxy.retry import SAFE
from composemesh.proxy.serve import begin, tell

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.codec.parts import Fields, ResponseHead
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.exchange import Exchange
    from composemesh.proxy.upstream.h1 import Http1Upstream

log = structlog.get_logger()

IDLE_TIMEOUT = 3600.0
"""Seconds a connection may wait for its next request (Envoy's default)."""


class Flight:
    """An exchange between `take_off` and `land`."""

    __slots__ = ("asked", "cluster", "fields", "target", "up", "x")

    def __init__(self, x: Exchange, cluster: Cluster, target: Target, up: Http1Upstream, fields: Fields) -> None:
        self.x = x
        self.cluster = cluster
        self.target = target
        self.up = up
        self.fields = fields
        self.asked = time.monotonic()
        target.endpoint.active += 1

    def __repr__(self) -> str:
        return f"<Flight {self.x!r} → {self.target!r}>"

    def hand_over(self, data: bytes) -> Begun:
        """What the structured path needs to go on from here, `data` being the beginning of an answer."""
        self.target.endpoint.active -= 1
        self.x.record.attempts = 0
        self.up.unread = data
        return Begun(self.target, self.up, self.fields)


def take_off(down: Downstream, data: bytes) -> Flight | None:
    """Send the request in `data` on its way, if it is a plain one; None where the task must see to it.

    Nothing has happened then that the structured path would not do again.
    """
    end = data.find(b"\r\n\r\n") + 4
    if end != len(data) or end > LIMITS.head:
        return None
    try:
        head = parse_request(data, LIMITS)
    except Malformed:
        return None
    if head.body or head.upgrade or head.version != 11 or not head.keep_alive or head.method == b"CONNECT":
        return None
    x, cluster = begin(down, head, b"", True)
    target = cluster.pick()
    up = target.pool(down.port).checkout(repeatable=head.method in SAFE) if target is not None else None
    if target is None or up is None:
        cluster.put_back()
        return None
    fields = shaped(x, down)
    message = up.request(x, fields)
    try:
        sent = up.wire.sock.send(message)
    except OSError:
        sent = 0
    if sent != len(message):
        up.close()  # what went out was no whole request: nobody can have acted on it
        cluster.put_back()
        return None
    x.record.attempts = 1
    x.record.destination = target.endpoint.peer
    return Flight(x, cluster, target, up, fields)


def land(flight: Flight, data: bytes) -> tuple[ResponseHead, Fields, bytes] | None:
    """The answer in `data`, if that is all of it and plain; None where the task must see to it."""
    x = flight.x
    end = data.find(b"\r\n\r\n") + 4
    if not 3 < end <= LIMITS.head:
        return None
    try:
        head = parse_response(data[:end], x.head.method, LIMITS)
    except Malformed:
        return None
    if head.status < 200 or head.body != len(data) - end:
        return None
    record = x.record
    record.upstream_duration = elapsed = time.monotonic() - flight.asked
    record.response_code = head.status
    record.bytes_sent = head.body
    flight.up.reusable = head.keep_alive
    return head, response_fields(head.fields, head.values, int(elapsed * 1000)), data[end:]


def touch_down(flight: Flight, down: Downstream) -> None:
    """The exchange is over: give back what the flight has used, and tell of it."""
    flight.target.endpoint.active -= 1
    if flight.up.reusable:
        flight.target.pool(down.port).checkin(flight.up)
    else:
        flight.up.close()
    tell(flight.x, down)


class Handed(NamedTuple):
    """What the lane leaves to the connection's task."""

    data: bytes = b""
    """The beginning of a request, or, with a flight, of its answer; nothing where the client has gone."""
    flight: Flight | None = None
    unsent: bytes = b""
    """What is left to write of a flight's answer."""


class Writer(Downstream, Protocol):
    """A downstream that can say what its response looks like on the wire."""

    def response(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> bytes: ...


class Lane:
    """The lane of one connection. Its task waits in `next` while exchanges pass."""

    __slots__ = ("_connection", "_down", "_flight", "_handed", "_task", "_wire")

    open = True
    """Whether plain exchanges are taken at all: a test runs everything with the lane closed, too."""

    def __init__(self, connection: Connection, down: Writer) -> None:
        self._connection = connection
        self._wire = connection.wire
        self._down = down
        self._flight: Flight | None = None
        self._handed: Handed | None = None
        self._task: trio.lowlevel.Task | None = None

    async def next(self) -> Handed:
        """Let plain exchanges pass until something comes for the task. If cancelled, the one under way is lost."""
        self._handed = None
        self._idle()
        self._request()
        try:
            if self._handed is None:
                self._task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
        except BaseException:
            self._abandon()
            raise
        assert self._handed is not None
        return self._handed

    def _idle(self) -> None:
        connection = self._connection
        connection.exchanging = False
        connection.waiting = 0.0
        connection.deadline = time.monotonic() + IDLE_TIMEOUT
        self._wire.hook = self._request

    def _request(self) -> None:
        """The client may have sent something."""
        try:
            data = self._wire.take()
            if data is None:
                return
            self._wire.hook = None  # what it sends from here on can wait
            flight = take_off(self._down, data) if self.open and data and not self._connection.draining else None
            if flight is None:
                self._hand(Handed(data))
                return
            self._flight = flight
            connection = self._connection
            connection.exchanging = True
            connection.waiting = flight.asked
            connection.deadline = math.inf
            flight.up.wire.hook = self._response
        except Exception:
            self._failed()

    def _response(self) -> None:
        """The endpoint may have answered."""
        flight = self._flight
        assert flight is not None, "the hook is taken off with the flight"
        try:
            data = flight.up.wire.take()
            if data is None:
                return
            flight.up.wire.hook = None
            landed = land(flight, data) if data and not self._connection.draining else None
            if landed is None:
                self._flight = None
                self._hand(Handed(data, flight))
                return
            head, fields, payload = landed
            out = self._down.response(flight.x, head, fields, payload, True)
            try:
                sent = self._wire.sock.send(out)
            except BlockingIOError:
                sent = 0
            self._flight = None
            if sent == len(out):
                touch_down(flight, self._down)
                self._idle()
                self._request()
            else:
                self._hand(Handed(flight=flight, unsent=out[sent:]))
        except OSError:
            self._abandon()
            self._hand(Handed())
        except Exception:
            self._failed()

    def _hand(self, handed: Handed) -> None:
        self._handed = handed
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abandon(self) -> None:
        self._wire.hook = None
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.up.wire.hook = None
            flight.up.reusable = False
            flight.x.record.flag = self._down.why
            touch_down(flight, self._down)

    def _failed(self) -> None:
        """A bug of ours: one connection ends, and the reactor, on which all others depend, goes on."""
        log.exception("the lane failed", connection=repr(self._connection))
        self._connection.end(Flag.NONE)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
