"""helloworld says which version and instance answered."""

from __future__ import annotations

import http.client
import subprocess
import sys

from .conftest import EXAMPLES, Service

SRC = EXAMPLES / "helloworld" / "src"


def test_hello() -> None:
    service = Service(SRC / "helloworld.py", SERVICE_VERSION="v2", HOSTNAME="helloworld-v2-1")
    try:
        reply = service.get("/hello")
        assert reply.text == "Hello version: v2, instance: helloworld-v2-1\n"
        assert service.get("/hello?again").status == 200
        assert service.get("/health").text == "ok\n"
        assert service.get("/other").status == 404
        connection = http.client.HTTPConnection(service.host, service.port, timeout=20)
        connection.request("HEAD", "/hello")
        assert connection.getresponse().read() == b""
        connection.close()
        assert service.end() == 0
    finally:
        service.close()


def test_the_caller_prints_what_it_hears() -> None:
    service = Service(SRC / "helloworld.py", HOSTNAME="one")
    url = f"http://{service.host}:{service.port}/hello"
    environment = {"HELLOWORLD_URL": url, "INTERVAL": "0.01"}
    with subprocess.Popen(
        [sys.executable, "-B", str(SRC / "caller.py")], env=environment, stdout=subprocess.PIPE, text=True
    ) as caller:
        try:
            assert caller.stdout is not None
            assert caller.stdout.readline() == "Hello version: v1, instance: one\n"
            service.close()
            while not (line := caller.stdout.readline()).startswith("no answer"):
                assert line.startswith("Hello")
        finally:
            caller.terminate()
        assert caller.wait(timeout=10) == 0
