"""One life of one workload under capture: its namespace, its listeners, its rules, from first look to end."""

from __future__ import annotations

import functools
import socket
from dataclasses import replace

import structlog
import trio

from composemesh.capture import virtual_route
from composemesh.capture.dns import flows
from composemesh.capture.dns.asking import look_up
from composemesh.capture.dns.resolver import Resolver, Sockets, open_sockets
from composemesh.capture.iptables import Iptables, IptablesFailed
from composemesh.capture.listeners import Pair, open_listeners, original_destination
from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.refusal import Refused
from composemesh.capture.rules import Redirect, Version
from composemesh.model.snapshot import Exclude
from composemesh.model.workload import Workload
from composemesh.routing.names import Names
from composemesh.runtime.captured import Captured
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

_VERSIONS: dict[int, Version] = {socket.AF_INET: 4, socket.AF_INET6: 6}


class Life:
    """A workload from start to end. A restarted container is a new life, with a new namespace."""

    def __init__(self, workload: Workload, wish: Exclude | None, iptables: Iptables, names: Names) -> None:
        self.workload = workload
        self.wish = Latest(wish)
        """What is to be: captured with these exclusions, or (None) left alone."""
        self.captured: Captured | None = None
        """What the proxy is given; None while nothing is redirected, or nothing should be any more."""
        self.reason = ""
        """Why the wish could not be carried out."""
        self.seen = trio.current_time()
        self.ended = False
        self.scope = trio.CancelScope()
        self.resolver: Latest[Resolver | None] = Latest(None)
        """Takes what the workload asks Docker's, from capture until release. For whoever keeps the life to run."""
        self._iptables = iptables
        self._names = names
        self._namespace: NetworkNamespace | None = None
        self._sockets: Sockets | None = None
        self._redirects: tuple[Redirect, ...] = ()
        self._families: frozenset[Version] = frozenset()
        self._touched = False
        self._turn = trio.Lock()

    def __repr__(self) -> str:
        state = "captured" if self.captured else "refused" if self.reason else "alone"
        return f"<Life of {self.workload.name} {state} {self._namespace}>"

    @property
    def inode(self) -> int:
        """Names the namespace; 0 while there is none open."""
        return self._namespace.inode if self._namespace is not None else 0

    def update(self, workload: Workload) -> None:
        """The same life told anew: networks, health or name changed, the namespace and its sockets did not."""
        if workload != self.workload and self.captured is not None:
            self.captured = replace(self.captured, workload=workload)
        self.workload = workload

    def enter(self) -> None:
        """Open the namespace. Raises `Refused`."""
        if self._namespace is None:
            self._namespace = NetworkNamespace.of(self.workload)

    async def capture(self, exclude: Exclude) -> None:
        """Redirect the workload's traffic to listeners of ours, or change what is excluded of it.

        Listeners listen before the first rule is there, so that no connection of the workload is ever refused for
        it. Raises `Refused`, leaving nothing behind. If cancelled, what was begun is undone.
        """
        async with self._turn:
            self.enter()
            namespace = self._namespace
            assert namespace is not None
            if self.captured is not None:
                self._redirects = tuple(replace(redirect, exclude=exclude) for redirect in self._redirects)
                # one that fails has changed nothing: the rules that stood there still stand
                self._families |= await self._iptables.install(namespace, self._redirects, clean=False)
                return
            pairs = self._listen(namespace)
            try:
                self._redirects = tuple(self._redirect(pair, exclude) for pair in pairs)
                clean, self._touched = not self._touched, True
                virtual_route.add(namespace)
                self._families = await self._iptables.install(namespace, self._redirects, clean=clean)
                await flows.forget(namespace)
            except BaseException:
                await self._undo(namespace, pairs)
                raise
            self.captured = self._hand_over(namespace, pairs)

    async def _undo(self, namespace: NetworkNamespace, pairs: tuple[Pair, ...]) -> None:
        """Rules first: a rule without its listener refuses every connection that the workload makes."""
        with trio.CancelScope(shield=True):
            try:
                if await self._iptables.remove(namespace):
                    virtual_route.remove(namespace)
                    await flows.forget(namespace)
            except IptablesFailed as problem:
                log.debug("nothing to undo with", workload=self.workload.name, problem=str(problem))
        for pair in pairs:
            pair.close()
        self._close_sockets()

    def _listen(self, namespace: NetworkNamespace) -> tuple[Pair, ...]:
        try:
            if self._sockets is None:
                self._sockets = open_sockets(namespace, frozenset(self.workload.ports))
                self.resolver.publish(Resolver(namespace, self._sockets, self._names))
            return open_listeners(namespace, self.workload.ports)
        except OSError as problem:
            self._close_sockets()
            raise Refused(f"No listener could be opened in its network: {problem.strerror}.") from problem

    def _close_sockets(self) -> None:
        self.resolver.publish(None)
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def _redirect(self, pair: Pair, exclude: Exclude) -> Redirect:
        # Docker's resolver has an IPv4 address, and so has everything that the mesh answers
        dns = self._sockets.port if self._sockets is not None and pair.family == socket.AF_INET else 0
        return Redirect(_VERSIONS[pair.family], *pair.ports, exclude, dns)

    def _hand_over(self, namespace: NetworkNamespace, pairs: tuple[Pair, ...]) -> Captured:
        ours = {pair.family: frozenset(pair.ports) for pair in pairs}
        return Captured(
            self.workload,
            namespace,
            tuple(pair.inbound for pair in pairs),
            tuple(pair.outbound for pair in pairs),
            original_destination,
            functools.partial(_listening, namespace, ours),
            functools.partial(look_up, namespace),
        )

    async def rest(self) -> None:
        """Let new connections go straight, and those that were redirected live on. `release` completes it.

        Raises `Refused`.
        """
        async with self._turn:
            if self.captured is not None and self._namespace is not None:
                resting = tuple(replace(redirect, resting=True) for redirect in self._redirects)
                await self._iptables.install(self._namespace, resting, clean=False)
                await flows.forget(self._namespace)
            self.captured = None

    async def release(self) -> None:
        """Take the rules out; the namespace stays open, so that exchanges in flight can still dial from it.

        Raises `IptablesFailed` where rules may have been left.
        """
        async with self._turn:
            if self._namespace is not None:
                if await self._iptables.remove(self._namespace, self._families):
                    virtual_route.remove(self._namespace)
                    await flows.forget(self._namespace)
                self._close_sockets()
            self.captured = None

    async def close(self) -> None:
        """The life has ended. Its listeners are the proxy's to close; the rules die with the namespace."""
        self.captured = None
        with trio.CancelScope(shield=True):
            async with self._turn:  # a thread on its way in must not find the number of another namespace
                namespace, self._namespace = self._namespace, None
                if namespace is not None:
                    self._close_sockets()
                    namespace.close()


def _listening(namespace: NetworkNamespace, ours: dict[int, frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*(namespace.listening(family) - ports for family, ports in ours.items()))
