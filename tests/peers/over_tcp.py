"""Trials of what is not HTTP: databases, caches and mail, each with its own client."""

from __future__ import annotations

import os
import shutil
import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

import trio

from mesh.net import Net, read_until

from .trial import Failed, as_user, asked, program, serving

ROWS = 10_000
LARGE = 1 << 20
"""Bytes of the large value that each of them keeps."""


async def postgresql(net: Net, folder: Path) -> str:
    """psql fills a table, reads it back, and copies it out. The client speaks first."""
    _belongs_to("postgres", folder)
    data = folder / "data"
    await _run(as_user("postgres", [program("initdb"), "--no-sync", "--auth=trust", "--username=me", str(data)]))

    def server(folder: Path, address: str, port: int) -> list[list[str]]:
        options = ["-D", str(data), "-h", address, "-p", str(port), "-k", str(folder), "-F"]
        return [as_user("postgres", [program("postgres"), *options])]

    async with serving(net, folder, server, 5432) as place:
        host, _, port = place.partition(":")
        psql = [program("psql"), "--host", host, "--port", port, "--username=me", "--no-psqlrc", "-qAt", "postgres"]
        fill = f"create table t as select generate_series(1, {ROWS}) as n"
        said = await asked(*psql, "-c", fill, "-c", "select sum(n) from t", "-c", f"select repeat('x', {LARGE})")
        copied = await asked(*psql, "-c", "copy t to stdout")
    _check(said.startswith(f"{ROWS * (ROWS + 1) // 2}\n"), said.count("x") == LARGE, copied.count("\n") == ROWS)
    return await _tcp(net, 2, f"{ROWS:,} rows and 1 MiB")


async def mariadb(net: Net, folder: Path) -> str:
    """The server speaks first, and the client takes its time until it has heard."""
    _belongs_to("mysql", folder)
    data, socket = folder / "data", folder / "socket"
    install = [program("mariadb-install-db"), "--no-defaults", "--skip-test-db", f"--datadir={data}"]
    await _run(as_user("mysql", [*install, "--auth-root-authentication-method=normal"]))

    def server(folder: Path, address: str, port: int) -> list[list[str]]:
        place = [f"--bind-address={address}", f"--port={port}", f"--socket={socket}", "--skip-name-resolve"]
        return [as_user("mysql", [program("mariadbd"), "--no-defaults", f"--datadir={data}", *place])]

    async with serving(net, folder, server, 3306) as place:
        host, _, port = place.partition(":")
        client = [program("mariadb"), "--no-defaults", f"--host={host}", f"--port={port}", "--user=root", "-N"]
        grant = "create user me identified by 'secret'; grant all on *.* to me"
        await asked(program("mariadb"), "--no-defaults", f"--socket={socket}", "--user=root", "-e", grant)
        client = [word.replace("--user=root", "--user=me") for word in client] + ["--password=secret"]
        fill = f"create database d; create table d.t as select seq as n from mysql.seq_1_to_{ROWS}"
        said = await asked(*client, "-e", f"{fill}; select sum(n) from d.t; select repeat('x', {LARGE})")
    _check(said.startswith(f"{ROWS * (ROWS + 1) // 2}\n"), said.count("x") == LARGE)
    return await _tcp(net, 1, f"{ROWS:,} rows and 1 MiB")


async def redis(net: Net, folder: Path) -> str:
    """As its clients speak. What one types by hand, `GET x`, looks like HTTP unless the port is declared as TCP."""
    words = folder / "words"
    words.write_bytes(b"".join(b"*2\r\n$3\r\nGET\r\n$%d\r\n%d\r\n" % (len(str(n)), n) for n in range(ROWS)))

    def server(folder: Path, address: str, port: int) -> list[list[str]]:
        return [[program("redis-server"), "--bind", address, "--port", str(port), "--save", "", "--dir", str(folder)]]

    async with serving(net, folder, server, 6379) as place:
        host, _, port = place.partition(":")
        client = [program("redis-cli"), "-h", host, "-p", port]
        many = await asked(*client, "eval", f"for n = 1, {ROWS} do redis.call('set', n, n) end return 'done'", "0")
        large = await asked(*client, "eval", f"return string.rep('x', {LARGE})", "0")
        piped = await asked("sh", "-c", f"{' '.join(client)} --pipe < {words}")
    _check(many == "done\n", large.count("x") == LARGE, f"errors: 0, replies: {ROWS}" in piped)
    return await _tcp(net, 3, f"{ROWS:,} pipelined commands and 1 MiB")


async def memcached(net: Net, folder: Path) -> str:
    def server(folder: Path, address: str, port: int) -> list[list[str]]:
        options = ["-l", address, "-p", str(port), "-I", "2m", "-U", "0"]
        return [[program("memcached"), *options, *(["-u", "nobody"] if os.geteuid() == 0 else [])]]

    async with serving(net, folder, server, 11211) as place:
        host, _, port = place.partition(":")
        value = b"x" * LARGE
        async with await trio.open_tcp_stream(host, int(port)) as client:
            await client.send_all(b"set large 0 0 %d\r\n%b\r\n" % (LARGE, value))
            stored = await read_until(client, b"\r\n")
            await client.send_all(b"get large\r\n")
            answer = await read_until(client, b"END\r\n")
            await client.send_all(b"".join(b"set %d 0 0 1\r\nx\r\n" % n for n in range(1000)))
            many = b""
            while many.count(b"STORED\r\n") < 1000:
                many += await read_until(client, b"\r\n")
    _check(stored == b"STORED\r\n", answer == b"VALUE large 0 %d\r\n%b\r\nEND\r\n" % (LARGE, value))
    return await _tcp(net, 1, "1,000 pipelined commands and 1 MiB")


async def smtp(net: Net, folder: Path) -> str:
    """The server speaks first; the client is the standard library's smtplib."""

    def server(folder: Path, address: str, port: int) -> list[list[str]]:
        kept = ["-c", "aiosmtpd.handlers.Mailbox", str(folder / "mail")]
        return [[sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{address}:{port}", *kept]]

    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "a@example.com", "b@example.com", "through the mesh"
    letter.set_content("A line of text.\n" * 20_000)

    def send(host: str, port: int) -> None:
        with smtplib.SMTP(host, port, timeout=20) as client:
            client.send_message(letter)

    async with serving(net, folder, server, 2525) as place:
        host, _, port = place.partition(":")
        await trio.to_thread.run_sync(send, host, int(port))
    (kept,) = (folder / "mail" / "new").iterdir()
    _check(kept.read_text().count("A line of text.") == 20_000)
    return await _tcp(net, 1, "a letter of 320 kB, server first")


async def _tcp(net: Net, connections: int, what: str) -> str:
    """Every connection was one record of bytes, whatever its first bytes looked like."""
    await net.records.next(connections)
    if {record.protocol for record in net.records.all} != {"tcp"}:
        raise Failed(f"recorded: {net.records.all[:3]}")
    return what


def _check(*facts: bool) -> None:
    if not all(facts):
        raise Failed(f"of what it was to do this was done: {facts}")


def _belongs_to(user: str, folder: Path) -> None:
    """Give the folder to a server that will not run as root, where we are root."""
    if os.geteuid() == 0:
        shutil.chown(folder, user)


async def _run(command: list[str]) -> None:
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode:
        raise Failed(f"{command[-1]}: {done.stderr.decode(errors='replace')[-300:]}")
