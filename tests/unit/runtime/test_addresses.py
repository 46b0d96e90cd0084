"""`HOST:PORT`: of what is called both are needed, of what listens a port may be any."""

from __future__ import annotations

import pytest

from composemesh.runtime.addresses import host_and_port


@pytest.mark.parametrize(
    ("said", "host", "port"), [("a:1", "a", 1), ("127.0.0.1:65535", "127.0.0.1", 65535), ("[::1]:80", "::1", 80)]
)
def test_a_host_and_a_port(said: str, host: str, port: int) -> None:
    assert host_and_port(said) == host_and_port(said, to_listen=True) == (host, port)


@pytest.mark.parametrize("said", ["", "a", "a:", "a:b", "a:-1", "a:65536", "a:²", "a:" + "9" * 5000])
def test_neither(said: str) -> None:
    for to_listen in (False, True):
        with pytest.raises(ValueError, match="is not HOST:PORT"):
            host_and_port(said, to_listen=to_listen)


@pytest.mark.parametrize(("said", "host", "port"), [("a:0", "a", 0), (":80", "", 80), ("[]:80", "", 80)])
def test_only_to_listen(said: str, host: str, port: int) -> None:
    assert host_and_port(said, to_listen=True) == (host, port)
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        host_and_port(said)
