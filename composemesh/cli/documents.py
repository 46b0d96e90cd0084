"""Istio documents on the command line: where they are read from, and how a change of them is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from composemesh.cli.output import printable
from composemesh.stack.errors import CallError, UserError

F = TypeVar("F", bound=Callable[..., Any])

STDIN = "-"
KINDS = {
    "virtualservice": "VirtualService",
    "vs": "VirtualService",
    "destinationrule": "DestinationRule",
    "dr": "DestinationRule",
    "gateway": "Gateway",
    "gw": "Gateway",
    "serviceentry": "ServiceEntry",
    "se": "ServiceEntry",
    "workloadentry": "WorkloadEntry",
    "we": "WorkloadEntry",
    "sidecar": "Sidecar",
    "httproute": "HTTPRoute",
    "grpcroute": "GRPCRoute",
}
"""What people call the kinds that they name most, in lowercase (Istio's short names); all others go by their own."""


def kind_of(word: str, others: Callable[[], Iterable[str]] = tuple) -> str:
    """The kind that a word means. `others` are asked for where it is none of ours: those that plugins bring along.

    Raises CallError with the kinds that there are, the nearest one first.
    """
    import difflib

    from composemesh.config.kinds import KINDS as EVERY_KIND

    said = word.partition(".")[0].lower()
    plurals = (said, said.removesuffix("s"), f"{said.removesuffix('ies')}y")
    kinds = {name.lower(): name for name in EVERY_KIND.names} | KINDS
    kind = next((kinds[one] for one in plurals if one in kinds), None)
    if kind is None:
        kinds |= {name.lower(): name for name in others()}
        kind = next((kinds[one] for one in plurals if one in kinds), None)
    if kind is None:
        near = [kinds[one] for one in difflib.get_close_matches(said, kinds, 1)]
        there = f"did you mean {near[0]}? There are" if near else "there are"
        raise CallError(f"No kind {word!r}: {there} {', '.join(dict.fromkeys([*near, *kinds.values()]))}.")
    return kind


def files_option(required: bool = True) -> Callable[[F], F]:
    """Add `-f FILE`, which may be repeated."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        required=required,
        metavar="FILE",
        help="A file, a folder, or - for standard input; may be repeated.",
    )


def read_files(names: Iterable[str]) -> list[tuple[str, str]]:
    """Name and text of each file that is meant. Raises CallError with the first that is not there, UserError with
    the first that is no text, or where there is nothing but blanks and comments in all of them."""
    names = list(names)
    found = [(name, _decoded(name, said)) for name, said in contents(names)]
    if not any(_says_something(text) for _, text in found):
        raise UserError(f"{', '.join(names)}: no resource in it, only blanks and comments.")
    return found


def contents(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that is meant by a file, a folder, or `-`. Raises CallError."""
    from composemesh.config.written import matching

    for name in names:
        if name == STDIN:
            yield "standard input", sys.stdin.buffer.read()
            continue
        if not name:
            raise CallError("'': name a file, a folder, or - for standard input.")
        path = Path(name)
        files = list(matching(path)) if path.is_dir() else [path]
        if not files:
            raise CallError(f"{name}: no .yaml, .yml or .json file in this folder.")
        for file in files:
            try:
                yield str(file), file.read_bytes()
            except OSError as problem:
                raise CallError(f"{file}: {problem.strerror}.") from None


def _decoded(name: str, said: bytes) -> str:
    try:
        return said.decode()
    except UnicodeDecodeError:
        raise UserError(f"{name}: not UTF-8 text.") from None


def _says_something(text: str) -> bool:
    lines = (line.strip() for line in text.splitlines())
    return any(line not in ("", "---", "...") and not line.startswith("#") for line in lines)


def tell_problems(problems: Iterable[dict[str, Any]]) -> None:
    """A line each on standard error: where, what and what to do."""
    for one in problems:
        place = f"{one['file']}:{one['line']}: " if one["line"] else f"{one['file']}: " if one["file"] else ""
        hint = f" {one['hint']}" if one["hint"] else ""
        print(printable(f"{one['severity']}: {place}{one['message']}{hint}"), file=sys.stderr)


def tell_change(change: dict[str, Any], *, dry_run: bool = False) -> None:
    """What has changed, a line a resource as kubectl has it, and what was wrong. Exits 1 where it was refused."""
    from composemesh.cli.guard import exit_with

    tell_problems(change["problems"])
    if not change["accepted"]:
        print("composemesh: nothing was changed.", file=sys.stderr)
        exit_with(1)
    suffix = " (dry run)" if dry_run else ""
    for word in ("created", "configured", "unchanged", "deleted"):
        for key in change[word]:
            print(printable(f"{key['kind'].lower()}/{key['name']} {word}{suffix}"))
