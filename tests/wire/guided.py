"""Fuzzing that is guided by coverage: atheris looks for bytes that take the codec where no bytes went before.

What must hold is what the other tests ask too: h11, llhttp and hpack agree, the cut does not matter, nothing is
raised and nothing grows. `make fuzz SECONDS=60` hunts in every part of the codec, for so long in all. What it finds
is printed, and kept in `build/fuzz`.
"""

from __future__ import annotations

import argparse
import binascii
import contextlib
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from composemesh.proxy.codec import proxy_protocol
from wire import fuzz
from wire.h2.cases import CASES
from wire.h2.raw import REQUEST, block

TARGETS = ("request", "response", "chunked", "frames", "hpack", "hello", "introduction", "grpc-web")
LONGEST = 3000
"""Bytes of an input: what is worth finding is found in fewer."""


def seeds(target: str) -> Iterable[bytes]:
    """Where the search begins."""
    match target:
        case "frames":
            return [b"\x07" + case.sent for case in CASES]
        case "hpack":
            blocks = [block(REQUEST), block(REQUEST, huffman=True), b"\x82\x40\x01a\x01b\xbe", b"\x3f\xe1\x1f"]
            return [b"".join(b"%c%b" % (len(one), one) for one in blocks)]
        case "hello":
            return [_hello("a.example", ["h2", "http/1.1"]), _hello(None, []), _hello("b", [])[:60]]
        case "introduction":
            four, six = (("192.0.2.1", 1), ("192.0.2.2", 65535)), (("2001:db8::1", 1), ("2001:db8::2", 2))
            said = [proxy_protocol.encode(version, *both) for version in (1, 2) for both in (four, six)]
            return [*said, b"PROXY UNKNOWN\r\n", proxy_protocol.SIGNATURE + b"\x20\x00\x00\x00"]
        case "grpc-web":
            return [b"\x03" + binascii.b2a_base64(bytes(size), newline=False) * 3 for size in range(1, 9)]
        case "chunked" | "careless":
            bodies = (raw.partition(b"\r\n\r\n")[2] for _, raw in fuzz.seeds() if b"chunked" in raw)
            return [*bodies, b'5;a="b" ; c\r\nhello\r\n0\r\nT: u\r\n\r\n']
        case _:
            return [raw for kind, raw in fuzz.seeds() if kind == target]


def _hello(name: str | None, protocols: list[str]) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    return said.read()


def hunt(target: str, seconds: int, seed: int, keep: Path) -> tuple[int, str]:
    """Run one target; how many inputs were tried, and what was found, or nothing."""
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder) / "corpus", Path(folder) / "words"
        corpus.mkdir()
        for number, raw in enumerate(seeds(target)):
            (corpus / str(number)).write_bytes(raw[:LONGEST])
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in fuzz.SPICE))
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-seed={seed}", "-verbosity=0"]
        places = ["-print_final_stats=1", f"-artifact_prefix={keep}/{target}-", f"-dict={words}", str(corpus)]
        command = [sys.executable, "-m", "wire.guided_target", target, *limits, *places]
        done = subprocess.run(command, capture_output=True, text=True)
    tried = [int(line.split()[-1]) for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    return sum(tried), (done.stderr + done.stdout)[-3000:] if done.returncode else ""


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", choices=TARGETS)
    options.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    said = options.parse_args()
    targets = [said.only] if said.only else TARGETS
    failures = 0
    for target in targets:
        tried, found = hunt(target, max(1, said.seconds // len(targets)), said.seed, said.keep)
        failures += bool(found)
        print(f"{target}: {tried:,} inputs, {found or 'nothing found'}", flush=True)
    return min(1, failures)


if __name__ == "__main__":
    raise SystemExit(main())
