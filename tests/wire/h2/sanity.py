"""What must hold whatever a peer sends, as a server and as a client."""

from __future__ import annotations

from composemesh.proxy.codec.h1 import encode_request, encode_response, parse_request, parse_response
from composemesh.proxy.codec.h2 import (
    ClientConnection,
    Connection,
    Ended,
    Event,
    InterimCame,
    RequestOpened,
    ResponseHeadCame,
)
from wire.h2.raw import ACK, Server, parse, settings


def check_server(data: bytes, piece: int) -> None:
    """A server of ours hears this after the greetings, once whole and once in pieces of so many bytes."""
    whole, cut = Server(answers=False), Server(answers=False)
    whole.hear(data)
    check(whole.connection, whole.events)
    for at in range(0, len(data), piece):
        cut.hear(data[at : at + piece])
    # Cut differently, the same bytes mean the same. Answers would not, as they end streams sooner or later.
    assert whole.goaway() == cut.goaway()
    assert [event.stream for event in whole.requests] == [event.stream for event in cut.requests]


def check_client(data: bytes) -> None:
    """A client of ours hears this after five requests, of which one is still being sent, and one is a HEAD."""
    client = ClientConnection()
    events = client.receive(settings() + settings(flags=ACK))
    for n in range(5):
        client.send_head(b"HEAD" if n == 2 else b"GET", b"a", b"/", [], end=n != 1)
    parse(client.data_to_send())
    events += client.receive(data)
    check(client, events)
    parse(client.data_to_send())


def check(connection: Connection, events: list[Event]) -> None:
    """What it let through would be a message in HTTP/1 too, and it keeps no more than it may."""
    for event in events:
        if isinstance(event, RequestOpened):
            head = event.head
            if head.path and head.method != b"CONNECT":
                again = parse_request(encode_request(head.method, head.path, head.fields))
                assert (again.method, again.path, again.authority) == (head.method, head.path, head.authority)
                assert again.values.keys() == head.values.keys()
                assert again.body == max(head.body, 0)
        elif isinstance(event, ResponseHeadCame | InterimCame) and event.head.status != 101:
            back = parse_response(encode_response(event.head.status, event.head.reason, event.head.fields), b"GET")
            assert back.status == event.head.status
    ends = [at for at, event in enumerate(events) if isinstance(event, Ended)]
    assert ends in ([], [len(events) - 1])
    assert (connection.ended is not None) == (ends != []) or not events
    assert connection.streams <= 100
    assert 0 <= connection._window + connection._unread <= 1 << 24
