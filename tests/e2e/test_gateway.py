"""A gateway of the Compose file: ports of this host, the mesh's own certificate, and a real curl."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.meshed import edges, meshed, more, until
from environment.project import Project

pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


CLEAR, SECURE = free_port(), free_port()
SHOP = f"""
x-mesh:
  gateways:
    web: {{listen: 127.0.0.1:{CLEAR}}}
    safe: {{listen: 127.0.0.1:{SECURE}, tls: auto, hosts: ["*.localhost"]}}
services:
  shop:
    <<: *server
    x-mesh: {{expose: {{gateway: web, path: /shop, port: 8080}}}}
  vault:
    <<: *server
    x-mesh: {{expose: {{gateway: safe, host: vault.localhost, port: 8080}}}}
  hidden: *server
"""


@pytest.fixture(scope="module")
def shop(python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("shop"), python_image, SHOP) as project:
        yield project


async def curl(project: Project, *words: str) -> tuple[int, str]:
    """Status and body; status 0 where there was no answer."""
    said = await project.run("sh", "-c", 'curl -sS -w "\\n%{http_code}" "$@" || true', "curl", *words)
    body, _, status = said.rpartition("\n")
    return int(status or 0), body


async def test_a_service_is_reached_at_the_gateway_and_no_other_is(shop: Project) -> None:
    async def answers() -> bool:
        return (await curl(shop, f"http://127.0.0.1:{CLEAR}/shop"))[0] == 200

    await until(answers)
    before = await edges(shop)
    assert (await curl(shop, f"http://127.0.0.1:{CLEAR}/shop/cart"))[0] == 200
    assert (await curl(shop, f"http://127.0.0.1:{CLEAR}/other"))[0] == 404
    assert (await curl(shop, "-H", "Host: hidden", f"http://127.0.0.1:{CLEAR}/"))[0] == 404
    came = more(await edges(shop), before)
    assert came["gateway:web", "shop"] == 1


async def test_its_certificate_is_the_meshs_own(shop: Project, tmp_path: Path) -> None:
    root = str(tmp_path / "root.pem")
    await shop.mesh("ca", "--out", root)
    url = f"https://vault.localhost:{SECURE}/"

    async def answers() -> bool:
        return (await curl(shop, "--cacert", root, url))[0] == 200

    await until(answers)
    assert (await curl(shop, url))[0] == 0, "nobody else trusts it"
    assert (await curl(shop, "--cacert", root, "--http1.1", url))[0] == 200
    assert (await curl(shop, "--cacert", root, f"https://shop.localhost:{SECURE}/"))[0] == 404
    status = json.loads(await shop.mesh("status", "--format", "json"))
    assert [problem for problem in status["problems"] if problem["severity"] == "error"] == []
