"""`ask.py LIBRARY URL`: a Python library as a client. It asks as every client here does, and prints "ok"."""

from __future__ import annotations

import asyncio
import json
import sys

BODY = "0123456789" * 20_000
REQUESTS = 20


def judge(method: str, status: int, text: str, body: str = "") -> None:
    said = json.loads(text)
    if (status, said["method"], said["body"]) != (200, method, body):
        raise SystemExit(f"{method}: status {status}, {len(said['body'])} bytes came back")


def ask_standard(url: str) -> None:
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", "/", BODY)
    judge("POST", (answer := connection.getresponse()).status, answer.read().decode(), BODY)
    for number in range(REQUESTS):
        connection.request("GET", f"/{number}")
        judge("GET", (answer := connection.getresponse()).status, answer.read().decode())


def ask_requests(url: str) -> None:
    import requests

    with requests.Session() as session:
        judge("POST", (answer := session.post(url, data=BODY)).status_code, answer.text, BODY)
        for number in range(REQUESTS):
            judge("GET", (answer := session.get(f"{url}{number}")).status_code, answer.text)


def ask_httpx(url: str, http2: bool = False) -> None:
    import httpx

    with httpx.Client(http1=not http2, http2=http2) as client:
        judge("POST", (answer := client.post(url, content=BODY.encode())).status_code, answer.text, BODY)
        for number in range(REQUESTS):
            judge("GET", (answer := client.get(f"{url}{number}")).status_code, answer.text)


def ask_httpx_h2(url: str) -> None:
    ask_httpx(url, http2=True)


def ask_aiohttp(url: str) -> None:
    import aiohttp

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        async with session.get(f"{url}{number}") as answer:
            judge("GET", answer.status, await answer.text())

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=BODY.encode()) as answer:
                judge("POST", answer.status, await answer.text(), BODY)
            await asyncio.gather(*(one(session, number) for number in range(REQUESTS)))

    asyncio.run(run())


if __name__ == "__main__":
    globals()[f"ask_{sys.argv[1]}"](sys.argv[2])
    print("ok")
