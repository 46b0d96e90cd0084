"""Carry a transaction into a namespace with the host's own iptables, whichever of its kinds PATH gives."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog
import trio

from composemesh.capture import rules
from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.refusal import Refused
from composemesh.capture.rules import Owner, Redirect, Version
from composemesh.runtime.process import process_start

log = structlog.get_logger()

LOCK_WAIT = 2
"""Seconds that iptables-legacy waits for the lock that all its runs on a host share; nft's kind has none."""
PATIENCE = 2.5
"""Seconds after which a run (one takes 4 ms) is ended: two of them fit into the end of the mesh."""
_ALWAYS: frozenset[Version] = frozenset((4,))
_WORDS: dict[Version, str] = {4: "iptables", 6: "ip6tables"}


class IptablesFailed(Exception):
    """A run of iptables failed; the message is the first line that it said."""


@dataclass(frozen=True, slots=True)
class Tool:
    """The two programs of one address family."""

    version: Version
    restore: str
    save: str

    @classmethod
    def find(cls, version: Version) -> Tool | None:
        word = _WORDS[version]
        restore, save = _which(f"{word}-restore"), _which(f"{word}-save")
        return cls(version, restore, save) if restore and save else None


def _which(program: str) -> str | None:
    # a login shell's PATH often lacks the folders that iptables lives in
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")


def living(owner: Owner) -> bool:
    """Whether the process that tagged a rule still runs."""
    return process_start(owner.pid) == owner.start


class Iptables:
    """Rules in and out of namespaces, a few runs at a time, both address families at once."""

    def __init__(self, tools: Mapping[Version, Tool | None] | None = None) -> None:
        self.owner = Owner(os.getpid(), process_start(os.getpid()) or 0)
        self._tools = tools if tools is not None else {4: Tool.find(4), 6: Tool.find(6)}
        self._limit = trio.CapacityLimiter(2 * (os.cpu_count() or 1))
        self._said_no_ipv6 = False

    async def install(
        self, namespace: NetworkNamespace, redirects: Sequence[Redirect], *, clean: bool
    ) -> frozenset[Version]:
        """Put the rules in place, one transaction a family; which families took them.

        `clean` presumes that none of ours are there. Raises `Refused` where IPv4 did not take them; IPv6 may have.
        IPv6 alone failing is logged once. If cancelled, transactions under way end first: they may be in place.
        """
        failed: dict[Version, Exception] = {}

        async def one(redirect: Redirect) -> None:
            try:
                await self._install(namespace, redirect, clean)
            except (Refused, IptablesFailed, OSError) as problem:
                failed[redirect.version] = problem

        async with trio.open_nursery() as nursery:
            for redirect in redirects:
                nursery.start_soon(one, redirect)
        if (problem := failed.get(4)) is not None:
            if isinstance(problem, Refused):
                raise problem
            raise Refused(f"The rules could not be put in place: {problem}") from problem
        if 6 in failed and not self._said_no_ipv6:
            self._said_no_ipv6 = True
            log.warning("IPv6 traffic is not captured here, IPv4 is", because=str(failed[6]))
        return frozenset(redirect.version for redirect in redirects) - failed.keys()

    async def _install(self, namespace: NetworkNamespace, redirect: Redirect, clean: bool) -> None:
        tool = self._tools[redirect.version]
        if tool is None:
            raise Refused(f"{_WORDS[redirect.version]} is missing: install the package `iptables` on this host.")
        if clean:
            try:
                return await self._restore(namespace, tool, rules.install(redirect, self.owner))
            except IptablesFailed as problem:
                log.debug("not a clean namespace", problem=str(problem))
        saved = await self._save(namespace, tool)
        if others := self._others(saved):
            raise Refused(f"Another mesh captures it: process {others.pop().pid}.")
        await self._restore(namespace, tool, rules.install(redirect, self.owner, saved))

    async def remove(self, namespace: NetworkNamespace, known: Collection[Version] = _ALWAYS) -> bool:
        """Take out what this mesh, or a dead one, has put in place; whether there was anything.

        `known` are the families that the host can do; another one may fail. Raises `IptablesFailed` where
        something may have been left.
        """
        found: list[bool] = []
        failed: dict[Version, IptablesFailed] = {}

        async def one(tool: Tool) -> None:
            try:
                found.append(await self._remove(namespace, tool))
            except IptablesFailed as problem:
                failed[tool.version] = problem

        async with trio.open_nursery() as nursery:
            for tool in filter(None, self._tools.values()):
                nursery.start_soon(one, tool)
        for version in failed.keys() & known:
            raise failed[version]
        return any(found)

    async def _remove(self, namespace: NetworkNamespace, tool: Tool) -> bool:
        saved = await self._save(namespace, tool)
        if self._others(saved) or not (text := rules.remove(saved)):
            return False
        await self._restore(namespace, tool, text)
        return True

    def _others(self, saved: str) -> list[Owner]:
        return [owner for owner in rules.owners(saved) if owner != self.owner and living(owner)]

    async def _save(self, namespace: NetworkNamespace, tool: Tool) -> str:
        return await self._run(namespace, [tool.save, "-t", "nat"])

    async def _restore(self, namespace: NetworkNamespace, tool: Tool, text: str) -> None:
        await self._run(namespace, [tool.restore, "-w", str(LOCK_WAIT), "--noflush"], text)

    async def _run(self, namespace: NetworkNamespace, command: Sequence[str], text: str = "") -> str:
        # a run is never abandoned: whoever is cancelled still learns whether the kernel took the transaction
        work = functools.partial(_run, namespace, command, text)
        return await trio.to_thread.run_sync(work, limiter=self._limit)


def _run(namespace: NetworkNamespace, command: Sequence[str], text: str) -> str:
    try:
        process = namespace.spawn(command)
    except OSError as problem:
        raise IptablesFailed(f"{os.path.basename(command[0])}: {problem.strerror}") from problem
    with process:
        try:
            output, complaint = process.communicate(text, timeout=PATIENCE)
        except subprocess.TimeoutExpired as problem:
            process.kill()
            raise IptablesFailed(f"{os.path.basename(command[0])} did not end within {PATIENCE:g} s") from problem
    if process.returncode != 0:
        first = complaint.strip().partition("\n")[0]
        raise IptablesFailed(first or f"{os.path.basename(command[0])} ended with status {process.returncode}")
    return output
