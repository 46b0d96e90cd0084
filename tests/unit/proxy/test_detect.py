"""Whose first words these are."""

from __future__ import annotations

import pytest

from composemesh.proxy.detect import PREFACE, Detected, detect


@pytest.mark.parametrize(
    ("first", "detected"),
    [
        (b"", Detected.MORE),
        # HTTP/1, from the first word on, and what only resembles it: the codec shall refuse that, not the application
        (b"G", Detected.MORE),
        (b"GET", Detected.MORE),
        (b"GET ", Detected.HTTP1),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Detected.HTTP1),
        (b"POST /x HT", Detected.HTTP1),
        (b"PROPFIND / HTTP/1.1\r\n", Detected.HTTP1),
        (b"CONNECT a:443 HTTP/1.1\r\n", Detected.HTTP1),
        (b"\r\n", Detected.MORE),
        (b"\r\nGET / HTTP/1.1\r\n", Detected.HTTP1),
        (b"GET / HTTP/1.1\n", Detected.HTTP1),
        (b"GET /\r\n", Detected.HTTP1),
        (b"get / HTTP/1.1\r\n", Detected.HTTP1),
        (b" GET / HTTP/1.1\r\n", Detected.HTTP1),
        (b"GET\t/ HTTP/1.1\r\n", Detected.HTTP1),
        (b"BREW /pot HTTP/1.1\r\n", Detected.HTTP1),
        # HTTP/2
        (b"P", Detected.MORE),
        (b"PR", Detected.MORE),
        (PREFACE[:15], Detected.MORE),
        (PREFACE[:16], Detected.HTTP2),
        (PREFACE + b"\0\0\0\4\0\0\0\0\0", Detected.HTTP2),
        # TLS
        (b"\x16", Detected.MORE),
        (b"\x16\x03", Detected.MORE),
        (b"\x16\x03\x01\x02\x00\x01", Detected.TLS),
        (b"\x16\x03\x09", Detected.OPAQUE),
        (b"\x16a", Detected.OPAQUE),
        # the rest of the world: nobody may wait for a second word of it
        (b"*1\r\n$4\r\nPING\r\n", Detected.OPAQUE),  # Redis
        (b"PING\r\n", Detected.OPAQUE),
        (b"stats\r\n", Detected.OPAQUE),  # memcached
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Detected.OPAQUE),  # PostgreSQL asks for TLS
        (b"\x10\x13\x00\x04MQTT", Detected.OPAQUE),
        (b"AMQP\x00\x00\x09\x01", Detected.OPAQUE),
        (b"CONNECT\naccept-version:1.2\n\n\0", Detected.OPAQUE),  # STOMP
        (b"SSH-2.0-OpenSSH_9.2\r\n", Detected.OPAQUE),
        (b"OPTIONS rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n", Detected.OPAQUE),
        (b"OPTIONS sip:a@b SIP/2.0\r\n", Detected.OPAQUE),
        (b"hello", Detected.OPAQUE),
        (b"GETS", Detected.OPAQUE),
    ],
)
def test_first_bytes(first: bytes, detected: Detected) -> None:
    assert detect(first) is detected


@pytest.mark.parametrize(
    "whole", [b"GET / HTTP/1.1\r\n", PREFACE, b"\x16\x03\x01\x00", b"\r\nDELETE /a HTTP/1.1\r\n"]
)
def test_what_was_undecided_is_never_decided_wrongly(whole: bytes) -> None:
    answers = [detect(whole[:size]) for size in range(len(whole) + 1)]
    settled = answers.index(detect(whole))
    assert set(answers[:settled]) == {Detected.MORE}
    assert set(answers[settled:]) == {detect(whole)}
