"""Which ports somebody listens on: the same answer from the kernel's two mouths."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest

from composemesh.capture.listening import ask, is_loopback, open_question, read

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is a thing of Linux")

TABLE = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}


@pytest.mark.parametrize(
    ("family", "host", "reachable"),
    [
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET, "127.0.0.1", False),
        (socket.AF_INET, "127.8.9.10", False),
        (socket.AF_INET6, "::", True),
        (socket.AF_INET6, "::1", False),
        (socket.AF_INET6, "::ffff:127.0.0.1", False),
    ],
)
def test_listeners_that_others_can_reach(family: socket.AddressFamily, host: str, reachable: bool) -> None:
    with socket.socket(family) as listener, open_question() as question:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((host, 0))
        except OSError as problem:
            if problem.errno != errno.EADDRNOTAVAIL:
                raise
            pytest.skip(f"this host has no {host}")
        port = listener.getsockname()[1]
        assert port not in set(ask(question, family))  # bound, and nobody listens
        listener.listen()
        for _ in range(2):  # the same socket may ask again
            assert (port in set(ask(question, family))) is reachable
        assert (port in set(read(Path(TABLE[family]).read_bytes()))) is reachable
    with open_question() as question:
        assert port not in set(ask(question, family))


def test_connections_are_no_listeners() -> None:
    with (
        open_question() as question,
        socket.create_server(("0.0.0.0", 0)) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client,
    ):
        assert client.getsockname()[1] not in set(ask(question, socket.AF_INET))


def test_more_listeners_than_one_answer_holds() -> None:
    with open_question() as question:
        many = [socket.create_server(("0.0.0.0", 0)) for _ in range(200)]
        try:
            assert {each.getsockname()[1] for each in many} <= set(ask(question, socket.AF_INET))
        finally:
            for each in many:
                each.close()


@pytest.mark.skipif(sys.byteorder != "little", reason="the text is a little-endian machine's")
def test_the_text_of_proc() -> None:
    text = (
        b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        b"   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n"
        b"   1: 0B00007F:8A1B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0\n"
        b"   2: 020013AC:D431 030013AC:0050 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0\n"
    )
    assert list(read(text)) == [8080]


def test_an_error_of_the_kernel_is_an_oserror() -> None:
    with open_question() as question, pytest.raises(OSError) as caught:
        list(ask(question, 255))
    assert os.strerror(caught.value.errno or 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "::", "fe80::1", "0.0.0.0"])
def test_loopback(host: str) -> None:
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    assert is_loopback(address.packed) is (mapped or address).is_loopback
