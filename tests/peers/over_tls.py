"""Trials of clients that come in by a gateway: TLS with the mesh's own root, HTTP/2 where ALPN has it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mesh.gateways import ROOT, free_port, gateway, https, open_up, route
from mesh.net import Net

from . import servers
from .over_http import UPLOAD, Trial, all_well, expect
from .trial import EXCHANGES, asked, program, serving

HOST = "localhost"
_PASSWORD = "changeit"


@asynccontextmanager
async def _gateway(net: Net, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """gunicorn as a service behind a gateway; its URL, and the file of the root that vouches for it."""
    root = folder / "root.pem"
    root.write_text(ROOT)
    async with serving(net, folder, servers.gunicorn):
        port = free_port()
        await open_up(net, gateway(https(port, HOST)), routes=[route(HOST, "app")])
        yield f"https://{HOST}:{port}/", root


def _trusting(root: Path) -> dict[str, Path]:
    """What each of them reads to learn whom to trust."""
    names = ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    return dict.fromkeys(names, root)


def client(command: list[str], version: int) -> Trial:
    """One of our clients in a library: an upload, and twenty GETs."""

    async def trial(net: Net, folder: Path) -> str:
        async with _gateway(net, folder) as (url, root):
            expect("ok", await asked(*command, url, **_trusting(root)))
            return await all_well(net, version)

    return trial


def java(command: list[str]) -> Trial:
    """Java trusts what stands in a store of its own kind."""

    async def trial(net: Net, folder: Path) -> str:
        store = folder / "store.p12"
        async with _gateway(net, folder) as (url, root):
            keep = ("-importcert", "-noprompt", "-alias", "root", "-file", root, "-keystore", store)
            await asked(program("keytool"), *keep, "-storepass", _PASSWORD)
            trust = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword={_PASSWORD}"
            expect("ok", await asked(*command, url, JAVA_TOOL_OPTIONS=trust))
            return await all_well(net, 20)

    return trial


async def curl(net: Net, folder: Path) -> str:
    body, echo = folder / "body", folder / "echo"
    body.write_text(UPLOAD)
    common = ("--silent", "--show-error", "--fail")
    upload = (*common, "--data-binary", f"@{body}", "--output", echo)
    async with _gateway(net, folder) as (url, root):
        gets = ("--next", *common, f"{url}[1-{EXCHANGES - 1}]")
        await asked(program("curl"), *upload, url, *gets, **_trusting(root))
        expect(UPLOAD, json.loads(echo.read_text())["body"])
        return await all_well(net, 20)
